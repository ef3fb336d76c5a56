"""The hub: what is fetched is kept and checked, goes on after a break, and every failure says how to fix it."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download

from samtailor import download
from samtailor.errors import WeightsError
from samtailor.models.hub import HubFile, NotInRepositoryError, fetch_segmenter, upload
from tests.conftest import Report
from tests.hub_server import HubServer

CONTENT = bytes(range(256)) * 4096
PART = 6 * download.BLOCK
FILES = {"one.json": b"1", "two.json": b"22", "other.bin": b"333"}


@pytest.fixture
def hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A hub with a base's weights and a segmenter."""
    hub.repositories["some/sam"] = {"model.safetensors": CONTENT, "config.json": b"{}"}
    hub.repositories["anna/model"] = dict(FILES)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    return hub


def fetch(file: str = "model.safetensors", repo: str = "some/sam", revision: str = "main") -> Path:
    source = HubFile(repo, file, revision)
    source.fetch()
    return source.place


class TestWeights:
    @pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
    def test_lie_where_the_hubs_library_keeps_them(self, hub: HubServer, tmp_path: Path, file: str) -> None:
        path = fetch(file)
        assert path.read_bytes() == hub.repositories["some/sam"][file]
        assert path == HubFile("some/sam", file).place == HubFile("some/sam", file, hub.commit("some/sam")).place
        cache = tmp_path / "home" / "hub"
        assert path.parent == Path(snapshot_download("some/sam", cache_dir=cache, allow_patterns=[file]))

    def test_a_stopped_download_is_continued_by_the_next(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.breaks_after = [PART]
        with monkeypatch.context() as patch:
            patch.setattr(download, "TRIES", 1)
            with pytest.raises(WeightsError, match=rf"model\.safetensors of some/sam: .*broke off after {PART} of"):
                fetch()
        assert not HubFile("some/sam").place.exists()
        hub.asked.clear()
        assert fetch().read_bytes() == CONTENT
        assert f"bytes={PART}-" in hub.ranges_asked()

    def test_another_content_than_the_hub_states_is_refused(
        self, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub, "blob_of", lambda sha256: CONTENT[::-1])
        with pytest.raises(WeightsError, match="expected sha256"):
            fetch()
        assert not HubFile("some/sam").place.exists()
        assert not list(tmp_path.rglob("*.part"))

    def test_progress_names_file_and_repository(self, hub: HubServer, reports: list[Report]) -> None:
        fetch()
        assert reports[-1] == ("model.safetensors of some/sam", len(CONTENT), len(CONTENT))

    def test_a_commit_is_kept_beside_the_branch(self, hub: HubServer) -> None:
        old = fetch(revision=hub.commit("some/sam"))
        hub.repositories["some/sam"]["model.safetensors"] = CONTENT[::-1]
        new = fetch()
        assert old.read_bytes() == CONTENT
        assert new.read_bytes() == CONTENT[::-1]
        assert HubFile("some/sam").place == new

    def test_a_token_opens_a_gated_repository(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.gated.add("some/sam")
        with pytest.raises(WeightsError, match=r"grant you access.*hf auth login"):
            fetch()
        monkeypatch.setenv("HF_TOKEN", hub.token)
        assert fetch().read_bytes() == CONTENT

    @pytest.mark.parametrize(
        ("repo", "file", "revision", "reason"),
        [
            ("some/none", "model.safetensors", "main", r"no such repository.*hf auth login"),
            ("some/sam", "none.safetensors", "main", "no such file"),
            ("some/sam", "model.safetensors", "v9", "no such revision"),
            ("some//sam", "model.safetensors", "main", "owner/name"),
        ],
    )
    def test_what_is_not_there_is_said(self, hub: HubServer, repo: str, file: str, revision: str, reason: str) -> None:
        message = rf"{file} of {repo}: could not be fetched.*{reason}.*--weights FILE"
        with pytest.raises(WeightsError, match=message) as info:
            fetch(file, repo, revision)
        assert isinstance(info.value, NotInRepositoryError) == (file == "none.safetensors")

    @pytest.mark.parametrize(("status", "reason"), [(401, "refuses access|log in"), (403, "log in"), (503, "503")])
    def test_a_hub_that_refuses_says_why(self, hub: HubServer, status: int, reason: str) -> None:
        hub.status = status
        with pytest.raises(WeightsError, match=rf"could not be fetched from the hub: .*({reason})"):
            fetch()

    def test_no_connection_is_said(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{filename}")
        with pytest.raises(WeightsError, match=r"hub cannot be reached .*refused.*--weights FILE"):
            fetch()


class TestSegmenter:
    def test_only_the_named_files_are_fetched(self, hub: HubServer) -> None:
        fetched = fetch_segmenter("anna/model", ("one.json", "two.json"))
        assert {path.name: path.read_bytes() for path in fetched.iterdir()} == {"one.json": b"1", "two.json": b"22"}

    def test_what_was_fetched_is_there_without_the_hub(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        fetched = fetch_segmenter("anna/model", ("one.json",))
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        assert fetch_segmenter("anna/model", ("one.json",)) == fetched

    def test_a_changed_repository_is_fetched_again(self, hub: HubServer) -> None:
        fetch_segmenter("anna/model", ("one.json",))
        hub.repositories["anna/model"]["one.json"] = b"new"
        assert (fetch_segmenter("anna/model", ("one.json",)) / "one.json").read_bytes() == b"new"

    @pytest.mark.parametrize(
        ("repo", "message"),
        [
            ("anna/none", "there is no such folder here, and the hub has no such repository, or it is private"),
            ("runs/of/mine", "name it 'owner/name'"),
            ("anna/empty", r"found a repository without one\.json"),
        ],
    )
    def test_a_repository_that_does_not_serve_is_a_clear_error(self, hub: HubServer, repo: str, message: str) -> None:
        hub.repositories["anna/empty"] = {"other.bin": b""}
        with pytest.raises(WeightsError, match=message):
            fetch_segmenter(repo, ("one.json",))


class TestUpload:
    @pytest.fixture
    def folder(self, tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HF_TOKEN", hub.token)
        (tmp_path / "folder").mkdir()
        for name, content in FILES.items():
            (tmp_path / "folder" / name).write_bytes(content)
        return tmp_path / "folder"

    def test_a_commit_holds_the_folder_and_drops_what_it_no_longer_has(self, hub: HubServer, folder: Path) -> None:
        hub.repositories["anna/model"] = {"old.json": b"old", "hers.txt": b"hers"}
        upload(folder, "anna/model", False, {*FILES, "old.json"})
        assert hub.repositories["anna/model"] == {**FILES, "hers.txt": b"hers"}

    def test_who_is_not_logged_in_is_told_how(
        self, hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        with pytest.raises(WeightsError, match=r"you are not logged in: hf auth login|log in as one who has it"):
            upload(folder, "anna/new", False, FILES)
        assert "anna/new" not in hub.repositories

    def test_without_a_connection_the_error_says_so(
        self, hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(WeightsError, match=r"^anna/model: expected a folder.*connect, and try again"):
            fetch_segmenter("anna/model", ("one.json",))
        with pytest.raises(WeightsError, match=r"could not be written to the Hugging Face hub.*connect, and try again"):
            upload(folder, "anna/model", False, FILES)

    def test_offline_mode_is_named(self, hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        with pytest.raises(WeightsError, match="not in the cache; offline mode forbids"):
            fetch_segmenter("anna/model", ("one.json",))
        with pytest.raises(WeightsError, match=r"offline mode forbids.*unset SAMTAILOR_OFFLINE"):
            upload(folder, "anna/model", False, FILES)
