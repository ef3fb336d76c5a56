"""A format is one file and one entry in the list: with them it goes through every verb, nothing else changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import samtailor
from samtailor.cli import main
from samtailor.data.formats import FORMATS
from samtailor.models.zoo import Base
from tests import generate
from tests.data.formats.npz import Npz
from tests.inference.test_predict import assert_most_probable


def npz_folder(root: Path, cases: int = 4) -> Path:
    """Image folder of archives: two pictures for training, one for validation, one for testing."""
    names = [f"tile_{index}" for index in range(cases)]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(names):
        colours, ids = generate.picture((40, 48), seed)
        np.savez(root / "images" / f"{name}.npz", pixels=np.moveaxis(colours, -1, 0))
        np.savez(root / "masks" / f"{name}.npz", pixels=ids)
    splits = {"train": names[:-2], "val": names[-2:-1], "test": names[-1:]}
    generate.write_json(root / "dataset.json", {"classes": generate.PICTURE_CLASSES, "splits": splits})
    return root


def pixels(path: Path) -> NDArray[Any]:
    """Pixels of an archive."""
    array: NDArray[Any] = np.load(path)["pixels"]
    return array


def test_a_registered_format_goes_through_every_verb(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run, out = npz_folder(tmp_path / "data"), str(tmp_path / "run"), tmp_path / "out"
    tiny = ("--base", tiny_base.name, "--sampling.image_size", "32", "--epochs", "1", "--recipe", "head-only")
    assert [error.fix for error in samtailor.check(data).errors] == ["put the images there"]
    monkeypatch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, Npz()])
    assert samtailor.check(data).findings == ()
    assert main(["train", str(data), "--out", run, *tiny]) == 0
    assert main(["predict", run, f"{data}/images", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"tile_{index}.npz" for index in range(4)]
    assert main(["evaluate", run, str(data), "--bootstrap", "20"]) == 0
    assert main(["score", str(out), str(data), "--split", "test", "--bootstrap", "20", "--out", f"{out}/scores"]) == 0
    files = (Path(run) / "evaluation" / "test" / "metrics.json", out / "scores" / "metrics.json")
    evaluated, scored = (json.loads(file.read_text())["cases"] for file in files)
    assert evaluated == scored
    image = data / "images" / "tile_3.npz"
    samtailor.load(run).predict(image).save(tmp_path / "single.npz")
    np.testing.assert_array_equal(pixels(tmp_path / "single.npz"), pixels(out / image.name))
    assert main(["predict", run, str(image), "--out", str(tmp_path / "again"), "--probabilities"]) == 0
    probabilities = pixels(tmp_path / "again" / "probabilities" / image.name)
    assert_most_probable(pixels(tmp_path / "again" / image.name), probabilities)
    np.testing.assert_array_equal(pixels(tmp_path / "again" / image.name), pixels(out / image.name))
