"""Images of any number of channels go all the way: check, train, evaluate, predict, share, baseline, estimate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from samtailor.cli import main
from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import FORMATS
from samtailor.data.intensity import ByChannel, CTWindow, Percentile
from samtailor.errors import FileError
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.score import score
from samtailor.inference.predict import predict
from samtailor.models.zoo import Base
from samtailor.recipes import RecipeName, recipe_from_json
from samtailor.runs import Run
from samtailor.segmenter import load
from samtailor.sharing.share import share
from samtailor.training.settings import SamplingConfig
from samtailor.training.train import resume, train
from samtailor.zeroshot.baseline import baseline
from samtailor.zeroshot.run import as_bytes
from tests import generate
from tests.data.formats.npz import Npz
from tests.training.test_train import rows_of

BRATS = ("FLAIR", "T1", "T1c", "T2")


def fitted(data: Path, out: Path, base: Base, recipe: RecipeName = "lora", epochs: int = 1) -> Path:
    sampling = SamplingConfig(image_size=base.image_size)
    settings = {"recipe": recipe_from_json({"name": recipe}), "epochs": epochs, "device": "cpu", "sampling": sampling}
    return train(data=data, out=out, base=base.name, **settings).directory


def decathlon_folder(root: Path) -> Path:
    """The volumes of an nnU-Net folder with four channels as the Decathlon lists them, in 4-D files."""
    generate.nnunet_folder(root, channels=BRATS)
    (root / "splits_final.json").unlink()
    names = [f"case_{index}" for index in range(5)]
    for name in names:
        channels = [root / "imagesTr" / f"{name}_{number:04d}.nii.gz" for number in range(4)]
        volumes = np.stack([np.asarray(nib.load(file).dataobj) for file in channels], axis=-1)
        generate.write_volume(root / "imagesTr" / f"{name}.nii.gz", volumes)
        for file in channels:
            file.unlink()
    content = {
        "modality": {str(number): name for number, name in enumerate(BRATS)},
        "labels": {"0": "background", "1": "edema", "2": "tumour"},
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names],
    }
    generate.write_json(root / "dataset.json", content)
    return root


@pytest.mark.parametrize("recipe", ["lora", "adapter", "head-only", "full"])
def test_ct_and_pet_train_with_every_recipe(
    recipe: RecipeName, tiny_base: Base, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = generate.nnunet_folder(tmp_path / "data", channels=("CT", "PET"))
    run = fitted(data, tmp_path / "run", tiny_base, recipe)
    segmenter = load(run)
    assert segmenter.model.preprocessing.intensity == ByChannel((CTWindow(), Percentile()))
    projection = segmenter.model.network.to_colours.get_parameter("weight")
    assert (projection != 0.5).all()
    assert any("embeddings cannot be kept" in r.message for r in caplog.records) == (recipe == "head-only")
    result = segmenter.predict(data / "imagesTs" / "case_5_0000.nii.gz")
    assert result.slices.shape == (6, 2, 24, 32)


def test_every_verb_takes_four_channels(any_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = generate.nnunet_folder(tmp_path / "data", channels=BRATS)
    report = check(data)
    assert not report.findings
    assert "4 (FLAIR, T1, T1c, T2): a learned projection brings them to three" in str(report)

    run = fitted(data, tmp_path / "run", any_base)
    assert yaml.safe_load((run / "config.yaml").read_text())["intensity"]["kind"] == ["percentile"] * 4
    assert json.loads((run / "segmenter" / "segmenter.json").read_text())["format"] == 2
    scores = evaluate(run, data, "test", device="cpu")
    assert (run / "evaluation" / "test" / "overlay_best.png").is_file()
    predicted = predict(run, [data / "imagesTs"], tmp_path / "out", overlays=True, device="cpu")
    assert [path.name for path in predicted.written] == ["case_5.nii.gz"]
    again = score(tmp_path / "out", data, out=tmp_path / "scores", split="test")
    np.testing.assert_array_equal(again.counts.tp, scores.counts.tp)

    share(run, tmp_path / "share")
    card = (tmp_path / "share" / "README.md").read_text()
    assert "- **Channels**: 4 (FLAIR, T1, T1c, T2), in this order, which a learned projection" in card
    assert "- **Intensity**: in each channel, percentiles 0.5 to 99.5 of each case become 0 to 1" in card
    result, shared = (
        load(place).predict(data / "imagesTs" / "case_5_0000.nii.gz") for place in (run, tmp_path / "share")
    )
    np.testing.assert_array_equal(shared.label, result.label)

    settings = {"kind": "box", "split": "test", "image_size": any_base.image_size, "bootstrap": 10}
    bound = baseline(data, out=tmp_path / "baseline", base=any_base.name, **settings)
    assert bound.source["image"] == "mean of 4 channels (FLAIR, T1, T1c, T2)"


def test_a_decathlon_folder_of_4_d_images_trains(tiny_base: Base, tmp_path: Path) -> None:
    data = decathlon_folder(tmp_path / "data")
    assert not check(data).errors
    run = fitted(data, tmp_path / "run", tiny_base)
    predict(run, [data / "imagesTr" / "case_0.nii.gz"], tmp_path / "out", device="cpu")
    assert nib.load(tmp_path / "out" / "case_0.nii.gz").shape == (32, 24, 6)


def test_pictures_of_many_bands_train(tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, Npz()])
    for seed in range(4):
        colours, ids = generate.picture((40, 48), seed)
        bands = np.concatenate([np.moveaxis(colours, -1, 0), 255 - colours[None, ..., 0]]).astype(np.uint16) * 100
        for folder, array in (("images", bands), ("masks", ids)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / "data" / folder / f"tile_{seed}.npz", pixels=array)
    generate.write_json(tmp_path / "data" / "dataset.json", {"classes": generate.PICTURE_CLASSES})
    assert open_dataset(tmp_path / "data").channels == ("band 1", "band 2", "band 3", "band 4")
    assert not check(tmp_path / "data").findings
    segmenter = load(fitted(tmp_path / "data", tmp_path / "run", tiny_base))
    assert segmenter.model.preprocessing.intensity == ByChannel((Percentile(),) * 4)
    file, array = segmenter.predict(tmp_path / "data" / "images" / "tile_3.npz"), np.moveaxis(bands, 0, -1)
    np.testing.assert_array_equal(segmenter.predict(array).label, file.label)


def test_a_resumed_training_of_channels_gives_the_same_numbers(tiny_base: Base, tmp_path: Path) -> None:
    data = generate.nnunet_folder(tmp_path / "data", channels=("CT", "PET"))
    whole = fitted(data, tmp_path / "whole", tiny_base, "head-only")
    config = yaml.safe_load((whole / "config.yaml").read_text())
    assert config["intensity"] == {"kind": ["window", "percentile"], "values": [[40.0, 400.0], [0.5, 99.5]]}
    shutil.copytree(whole, tmp_path / "part", ignore=lambda *_: ["checkpoints", "segmenter", "metrics.csv"])
    assert rows_of(resume(tmp_path / "part")) == rows_of(Run(whole))


def test_another_number_of_channels_is_refused_in_one_line(
    tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = generate.nnunet_folder(tmp_path / "data", channels=BRATS)
    run = fitted(data, tmp_path / "run", tiny_base)
    three = generate.nnunet_folder(tmp_path / "three", channels=("R", "G", "B")) / "imagesTs" / "case_5_0000.nii.gz"
    with pytest.raises(FileError, match="expected 4 channels, found 3"):
        load(run).predict(three)
    assert main(["predict", str(run), str(three), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "expected 4 channels, found 3" in output.out + output.err
    assert "Traceback" not in output.out + output.err


def test_the_base_alone_sees_the_mean_of_the_channels() -> None:
    image = np.random.default_rng(0).random((4, 5, 6)).astype(np.float16)
    seen = as_bytes(image)
    assert seen.shape == (5, 6, 3)
    np.testing.assert_array_equal(seen[..., 2], np.rint(255 * image.astype(np.float32).mean(axis=0)))
    np.testing.assert_array_equal(as_bytes(image[:3]), np.rint(255 * image[:3].astype(np.float32)).transpose(1, 2, 0))
