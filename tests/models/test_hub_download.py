"""Files of the hub come into its library's cache, continued after a break, and every refusal says how to fix it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from samtailor.errors import WeightsError
from samtailor.models import download
from samtailor.models.hub_download import NotInRepositoryError, fetch_from_hub, hub_place
from tests.conftest import Report
from tests.hub_server import HubServer

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    repo = tmp_path / "repositories" / "some" / "sam"
    repo.mkdir(parents=True)
    (repo / "model.safetensors").write_bytes(CONTENT)
    (repo / "config.json").write_text("{}")
    monkeypatch.setattr(download, "PAUSES", ())
    with HubServer(tmp_path / "repositories") as hub:
        hub.install(monkeypatch)
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def fetch(cache: Path, file: str = "model.safetensors", repo: str = "some/sam", revision: str = "main") -> Path:
    return fetch_from_hub(cache, repo, file, revision)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_file_lies_where_the_hubs_library_keeps_it(hub: HubServer, cache: Path, file: str) -> None:
    path = fetch(cache, file)
    assert path.read_bytes() == (hub.root / "some" / "sam" / file).read_bytes()
    assert (
        path == hub_place(cache, "some/sam", file, "main") == hub_place(cache, "some/sam", file, hub.commit("some/sam"))
    )
    assert path.parent == Path(snapshot_download("some/sam", cache_dir=cache, allow_patterns=[file]))


def test_a_stopped_download_is_continued_by_the_next(hub: HubServer, cache: Path) -> None:
    hub.breaks_after = [400_000]
    with pytest.raises(WeightsError, match=r"model\.safetensors of some/sam: .*broke off after 400000 of 1024000"):
        fetch(cache)
    assert not hub_place(cache, "some/sam", "model.safetensors", "main").exists()
    hub.asked.clear()
    assert fetch(cache).read_bytes() == CONTENT
    assert "bytes=400000-" in hub.ranges_asked()


def test_another_content_than_the_hub_states_is_refused(
    hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "blob_of", lambda sha256: CONTENT[::-1])
    with pytest.raises(WeightsError, match="expected sha256"):
        fetch(cache)
    assert not hub_place(cache, "some/sam", "model.safetensors", "main").exists()
    assert not list(cache.rglob("*.part"))


def test_progress_names_file_and_repository(hub: HubServer, cache: Path, reports: list[Report]) -> None:
    fetch_from_hub(cache, "some/sam", "model.safetensors", "main")
    assert reports[-1] == ("model.safetensors of some/sam", len(CONTENT), len(CONTENT))


def test_a_commit_is_kept_beside_the_branch(hub: HubServer, cache: Path) -> None:
    first = hub.commit("some/sam")
    old = fetch(cache, revision=first)
    (hub.root / "some" / "sam" / "model.safetensors").write_bytes(CONTENT[::-1])
    new = fetch(cache)
    assert old.read_bytes() == CONTENT
    assert new.read_bytes() == CONTENT[::-1]
    assert hub_place(cache, "some/sam", "model.safetensors", "main") == new


def test_a_token_opens_a_gated_repository(hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add("some/sam")
    with pytest.raises(WeightsError, match=r"grant you access.*hf auth login"):
        fetch(cache)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert fetch(cache).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("repo", "file", "revision", "reason"),
    [
        ("some/none", "model.safetensors", "main", r"no such repository.*hf auth login"),
        ("some/sam", "none.safetensors", "main", "no such file"),
        ("some/sam", "model.safetensors", "v9", "no such revision"),
        ("some//sam", "model.safetensors", "main", "owner/name"),
    ],
)
def test_what_is_not_there_is_said(
    hub: HubServer, cache: Path, repo: str, file: str, revision: str, reason: str
) -> None:
    with pytest.raises(
        WeightsError, match=rf"{file} of {repo}: could not be fetched.*{reason}.*--weights FILE"
    ) as info:
        fetch(cache, file, repo, revision)
    assert isinstance(info.value, NotInRepositoryError) == (file == "none.safetensors")


@pytest.mark.parametrize(("status", "reason"), [(401, "refuses access|log in"), (403, "log in"), (503, "503")])
def test_a_hub_that_refuses_says_why(hub: HubServer, cache: Path, status: int, reason: str) -> None:
    hub.status = status
    with pytest.raises(WeightsError, match=rf"could not be fetched from the hub: .*({reason})"):
        fetch(cache)


def test_no_connection_is_said(hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{filename}"
    )
    with pytest.raises(WeightsError, match=r"hub cannot be reached .*refused.*--weights FILE"):
        fetch(cache)
