"""The hub: what is fetched is kept, and every failure says how to fix it."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from samtailor.errors import WeightsError
from samtailor.models.hub import download, upload
from tests.sharing.hub_imitation import Hub

FILES = {"one.json": b"1", "two.json": b"22", "other.bin": b"333"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    for name, content in FILES.items():
        (tmp_path / "folder" / name).write_bytes(content)
    return tmp_path / "folder"


def test_only_the_named_files_are_fetched(hub: Hub) -> None:
    hub.repositories["anna/model"] = dict(FILES)
    fetched = download("anna/model", ("one.json", "two.json"))
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == {"one.json": b"1", "two.json": b"22"}


def test_what_was_fetched_is_there_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["anna/model"] = dict(FILES)
    fetched = download("anna/model", ("one.json",))
    monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
    assert download("anna/model", ("one.json",)) == fetched


def test_a_changed_repository_is_fetched_again(hub: Hub) -> None:
    hub.repositories["anna/model"] = dict(FILES)
    download("anna/model", ("one.json",))
    hub.repositories["anna/model"]["one.json"] = b"new"
    assert (download("anna/model", ("one.json",)) / "one.json").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("repo", "message"),
    [
        ("anna/none", "there is no such folder here, and the hub has none of that name, or it is private"),
        ("runs/of/mine", "name it 'owner/name'"),
        ("anna/empty", r"found a repository without one\.json"),
    ],
)
def test_a_repository_that_does_not_serve_is_a_clear_error(hub: Hub, repo: str, message: str) -> None:
    hub.repositories["anna/empty"] = {"other.bin": b""}
    with pytest.raises(WeightsError, match=message):
        download(repo, ("one.json",))


def test_without_a_connection_the_error_says_so(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"^anna/model: expected a folder.*connect, and try again"):
        download("anna/model", ("one.json",))
    with pytest.raises(WeightsError, match=r"could not be written to the Hugging Face hub.*connect, and try again"):
        upload(folder, "anna/model", False, "message", FILES)


def test_offline_mode_is_named(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["anna/model"] = dict(FILES)
    monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
    with pytest.raises(WeightsError, match="not in the cache; offline mode forbids"):
        download("anna/model", ("one.json",))
    with pytest.raises(WeightsError, match=r"offline mode forbids.*unset SAMTAILOR_OFFLINE"):
        upload(folder, "anna/model", False, "message", FILES)


def test_who_is_not_logged_in_is_told_how(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(WeightsError, match="you are not logged in; log in with: hf auth login"):
        upload(folder, "anna/model", False, "message", FILES)
    assert not hub.repositories


def test_a_commit_holds_the_folder_and_drops_what_it_no_longer_has(hub: Hub, folder: Path) -> None:
    hub.repositories["anna/model"] = {"old.json": b"old", "hers.txt": b"hers"}
    upload(folder, "anna/model", False, "message", {*FILES, "old.json"})
    assert hub.repositories["anna/model"] == {**FILES, "hers.txt": b"hers"}
