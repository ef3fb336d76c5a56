"""The examples do what they say, without what they say they do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import samtailor
from samtailor.data.intensity import ByChannel, CTWindow, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.median import MedianDenoising
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, HeadOnly, Recipe
from tests import generate
from tests.generate import LABELS
from tests.unfitted import unfitted

pytest.importorskip("onnxruntime", reason="needs the extra onnx")
EXAMPLE = Path(__file__).parents[1] / "examples" / "onnx_predict.py"

ALONE = """
import runpy, sys
for name in ("torch", "samtailor", "scipy", "transformers"):
    sys.modules[name] = None  # importing it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(*words: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", ALONE, EXAMPLE, *words], check=True, timeout=300, capture_output=True, text=True
    )


PICTURES = {
    "whole": (Preprocessing(Range(), 32, None, 3), Practice()),
    "windows": (Preprocessing(Range(20, 230), 32, 24, 3), Practice(tta="both")),
    "larger than seen": (Preprocessing(Percentile(), 48, None, 3, seen=20), Practice(tta="columns")),
    "smaller than a window": (Preprocessing(Percentile(2, 98), 32, 64, 1), Practice()),
}


@pytest.mark.parametrize(("preprocessing", "practice"), PICTURES.values(), ids=PICTURES)
def test_exported_networks_need_neither_torch_nor_samtailor_for_a_picture(
    preprocessing: Preprocessing, practice: Practice, tiny_base: Base, tmp_path: Path
) -> None:
    run = unfitted(tiny_base, preprocessing, practice, tmp_path / "run")
    pixels, _ = generate.picture((40, 53), seed=1)
    picture = Image.fromarray(pixels)
    (picture.convert("L") if preprocessing.channels == 1 else picture).save(tmp_path / "picture.png")
    samtailor.export(run, tmp_path / "export")
    run_example(tmp_path / "export" / "segmenter.onnx", tmp_path / "picture.png", tmp_path / "found.png")
    samtailor.predict(run, [tmp_path / "picture.png"], tmp_path / "ours", device="cpu", precision="32", tta="none")
    found = np.asarray(Image.open(tmp_path / "found.png"))
    ours = np.asarray(Image.open(tmp_path / "ours" / "picture.png"))
    assert len(np.unique(ours)) > 1
    assert found.shape == ours.shape
    assert (found != ours).mean() < 2e-3  # where two classes are equally likely


def test_a_picture_that_lies_on_its_side_is_seen_as_it_is_shown(tiny_base: Base, tmp_path: Path) -> None:
    run = unfitted(tiny_base, Preprocessing(Range(), 32, None, 3), Practice(), tmp_path / "run")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(generate.picture((40, 53), seed=1)[0]).save(tmp_path / "picture.jpg", exif=exif, quality=95)
    samtailor.export(run, tmp_path / "export")
    run_example(tmp_path / "export" / "segmenter.onnx", tmp_path / "picture.jpg", tmp_path / "found.png")
    samtailor.predict(run, [tmp_path / "picture.jpg"], tmp_path / "ours", device="cpu", precision="32", tta="none")
    found, ours = (np.asarray(Image.open(tmp_path / name)) for name in ("found.png", "ours/picture.png"))
    assert found.shape == ours.shape == (53, 40)
    assert (found != ours).mean() < 2e-3


@pytest.mark.parametrize("neighbours", [False, True])
def test_exported_networks_need_neither_torch_nor_samtailor_for_a_volume(
    neighbours: bool, tiny_base: Base, tmp_path: Path
) -> None:
    preprocessing = Preprocessing(CTWindow(), 32, None, 1, neighbours=neighbours)
    run = unfitted(tiny_base, preprocessing, Practice(), tmp_path / "run")
    hu, _ = generate.volume((32, 24, 6), seed=1)
    generate.write_volume(tmp_path / "ct.nii.gz", hu[..., None], generate.affine(codes="SRA"))
    samtailor.export(run, tmp_path / "export")
    run_example(tmp_path / "export" / "segmenter.onnx", tmp_path / "ct.nii.gz", tmp_path / "found.nii.gz")
    samtailor.predict(run, [tmp_path / "ct.nii.gz"], tmp_path / "ours", device="cpu", precision="32", tta="none")
    found, ours = (nib.load(tmp_path / name) for name in ("found.nii.gz", "ours/ct.nii.gz"))
    assert np.allclose(found.affine, ours.affine)
    label = np.asarray(ours.dataobj)[..., 0]
    assert len(np.unique(label)) > 1
    assert (np.asarray(found.dataobj) != label).mean() < 2e-3


NOT_KNOWN = {
    "groups of slices": (Adapter(depth=True), Preprocessing(Range(), 32, None, 1)),
    "bands": (HeadOnly(), Preprocessing(Range(), 32, None, 2, bands=(3, 1))),
    "scalings by channel": (HeadOnly(), Preprocessing(ByChannel((Range(), Range(), Range())), 32, None, 3)),
    "denoising": (HeadOnly(), Preprocessing(Range(), 32, None, 1, steps=(MedianDenoising(),))),
}


@pytest.mark.parametrize(("recipe", "preprocessing"), NOT_KNOWN.values(), ids=NOT_KNOWN)
def test_what_the_example_does_not_know_it_refuses(
    recipe: Recipe, preprocessing: Preprocessing, tiny_base: Base, tmp_path: Path
) -> None:
    SegmenterModel.create(tiny_base.name, recipe, LABELS, preprocessing).save(tmp_path / "run")
    samtailor.export(tmp_path / "run", tmp_path / "export")
    with pytest.raises(subprocess.CalledProcessError) as error:
        run_example(tmp_path / "export" / "segmenter.onnx", tmp_path / "x.png", tmp_path / "y.png")
    assert "not known here: use samtailor predict" in error.value.stderr


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
