"""Where results may go: nothing that somebody made is replaced or mixed with results, and nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import samtailor
from samtailor.cli import main
from samtailor.errors import ConfigError
from samtailor.models.zoo import Base
from samtailor.outputs import require_free, require_new, require_place
from samtailor.settings import hints_of
from tests import generate
from tests.test_settings import verb_of


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder, with the content of files."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def linked(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def written(path: Path) -> Path:
    path.write_text("somebody's")
    return path


PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (lambda root: written(root / "file"), "the file"),
    "under a file": (lambda root: written(root / "file") / "a" / "b", "the file"),
    "a dangling link": (lambda root: linked(root / "link", "nowhere"), "a link to nothing"),
    "a loop of links": (lambda root: linked(root / "loop", "loop"), "links"),
    "too long": (lambda root: root / "a" / ("x" * 300), "name too long"),
    "no name at all": (lambda root: root / "a\0b", "a name that no file can have"),
    "where nothing can be made": (lambda root: Path("/proc/nowhere/run"), "can be made"),
}


@pytest.mark.parametrize(("make", "found"), PLACES.values(), ids=PLACES)
def test_a_place_that_takes_no_files_is_named(make: Callable[[Path], Path], found: str, tmp_path: Path) -> None:
    out = make(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=r"out: expected a folder to write to") as error:
        require_place(out)
    assert found in str(error.value).replace("File name", "name").replace("symbolic ", "")
    assert tree(tmp_path) == before


def test_asking_leaves_nothing_behind(tmp_path: Path) -> None:
    require_place(tmp_path / "a" / "b")
    require_place(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_read_takes_no_results(nnunet_folder: Path, image_folder: Path, tmp_path: Path) -> None:
    link = linked(tmp_path / "link", str(nnunet_folder / "labelsTr"))
    for out in (
        nnunet_folder,
        nnunet_folder / "labelsTr",
        nnunet_folder / "imagesTs" / "x",
        image_folder / "masks",
        link,
    ):
        with pytest.raises(ConfigError, match="expected a folder apart from what is read, found a data set"):
            require_place(out)
    require_place(nnunet_folder / "predictionsTs")
    with pytest.raises(ConfigError, match="a folder of the data set that is read"):
        require_place(nnunet_folder / "predictionsTs", data=nnunet_folder)
    with pytest.raises(ConfigError, match="what is read itself"):
        require_place(tmp_path / "scans" / ".." / "scans", [tmp_path / "scans"])


def test_a_run_takes_no_results_of_others(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").touch()
    for out in (tmp_path / "run", tmp_path / "run" / "checkpoints", tmp_path / "run" / "segmenter" / "x"):
        with pytest.raises(ConfigError, match="found a run"):
            require_place(out)
    require_place(tmp_path / "run", is_run=True)
    require_place(tmp_path / "run" / "evaluation" / "other")


def test_files_are_replaced_only_where_the_user_says_so(tmp_path: Path) -> None:
    there, new = written(tmp_path / "there"), tmp_path / "new"
    require_free([new], overwrite=False)
    with pytest.raises(ConfigError, match=rf"found {there}; name another folder, or replace them with --overwrite"):
        require_free([new, there], overwrite=False)
    require_free([there], overwrite=True)
    with pytest.raises(ConfigError, match="new or empty"):
        require_new(tmp_path)


# What comes before --out, and where its results would replace or join what somebody made.
CALLS = {
    "train": ["train", "DATA", "--base", "tiny-sam"],
    "evaluate": ["evaluate", "RUN", "DATA"],
    "robustness": ["robustness", "RUN", "DATA", "--split", "val"],
    "compare": ["compare", "RUN", "RUN"],
    "baseline": ["baseline", "DATA", "--base", "tiny-sam"],
    "score": ["score", "MASKS", "DATA/labelsTr"],
    "predict": ["predict", "RUN", "DATA/imagesTr"],
    "share": ["share", "RUN"],
    "app": ["app", "RUN", "DATA"],
    "export": ["export", "RUN"],
    "reproduce": ["reproduce", "table1", "--data", "DATA", "--base", "tiny-sam"],
    "demo": ["demo"],
}


@pytest.fixture(scope="module")
def world(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, a run on it, predictions of it, somebody's file, and a link to nothing."""
    root = tmp_path_factory.mktemp("world")
    data = generate.nnunet_folder(root / "DATA")
    settings = ["--sampling.image_size", "32", "--epochs", "1", "--device", "cpu", "--base", tiny_base.name]
    assert main(["train", str(data), "--out", str(root / "RUN"), *settings]) == 0
    assert main(["predict", str(root / "RUN"), str(data / "imagesTr"), "--out", str(root / "MASKS")]) == 0
    written(root / "file")
    linked(root / "link", "nowhere")
    return root


@pytest.mark.parametrize("verb", CALLS)
def test_no_verb_writes_where_it_should_not(
    verb: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    before = tree(world)
    for out in ("file", "file/below", "link", "DATA", "DATA/labelsTr", "RUN", "RUN/checkpoints", "/proc/nowhere/x"):
        assert main([*CALLS[verb], "--out", out]) == 2, out
        assert "out: expected" in capsys.readouterr().err
    assert tree(world) == before


def test_every_verb_with_an_out_is_among_them() -> None:
    assert {verb for verb in samtailor.VERBS if "out" in hints_of(verb_of(verb))} == {*CALLS, "estimate"}


@pytest.mark.parametrize("verb", ["evaluate", "score", "predict"])
def test_results_are_replaced_only_with_overwrite(
    verb: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    words = [*CALLS[verb], "--out", str(tmp_path / "out")]
    words += (
        ["--overlays", "--probabilities"] if verb == "predict" else ["--split", "val"] if verb == "evaluate" else []
    )
    assert main(words) == 0
    first = tree(tmp_path / "out")
    for name, content in first.items():  # whatever of them is there
        if content is not None:
            os.rename(tmp_path / "out", tmp_path / "kept")
            (tmp_path / "out" / name).parent.mkdir(parents=True)
            written(tmp_path / "out" / name)
            assert main(words) == 2
            assert (tmp_path / "out" / name).read_text() == "somebody's"
            assert "--overwrite" in capsys.readouterr().err
            assert tree(tmp_path / "out") == {**dict.fromkeys(parents_of(name)), name: b"somebody's"}
            for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            (tmp_path / "out").rmdir()
            os.rename(tmp_path / "kept", tmp_path / "out")
    assert main([*words, "--overwrite"]) == 0
    assert tree(tmp_path / "out").keys() == first.keys()


def parents_of(name: str) -> list[str]:
    return [str(parent) for parent in Path(name).parents if str(parent) != "."]
