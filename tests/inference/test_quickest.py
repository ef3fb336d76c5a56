"""On a CPU 'auto' is bfloat16 only where much is predicted and it was found faster; what the user says is done."""

from __future__ import annotations

from pathlib import Path

import pytest

import samtailor
import samtailor.inference.quickest as module
from samtailor.data.case import CaseFiles
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.inputs import Job, images_of
from samtailor.inference.quickest import better, has_bfloat16, quickest
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from samtailor.settings import Precision
from tests.generate import LABELS


@pytest.fixture
def model(tiny_base: Base) -> SegmenterModel:
    return SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, None, 3)).eval()


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batches that were tried out, on a CPU that has bfloat16 and is faster with it."""
    batches: list[int] = []

    def try_out(_: SegmenterModel, batch: int) -> Precision:
        batches.append(batch)
        return "bf16"

    monkeypatch.setattr(module, "has_bfloat16", lambda: True)
    monkeypatch.setattr(module, "_tried_out", try_out)
    return batches


def test_bfloat16_is_taken_where_it_is_a_tenth_faster() -> None:
    assert better(1.0, 0.9) == "bf16"
    assert better(1.0, 0.91) == "32"
    assert better(0.05, 0.01) == "32"  # of so small a network timing is noise


def test_it_is_tried_once_for_a_network_and_a_batch(model: SegmenterModel, tried: list[int]) -> None:
    assert [quickest(model, 2, "cpu", "auto", None) for _ in range(3)] == ["bf16"] * 3
    assert quickest(model, 8, "cpu", "auto", 41) == "bf16"
    assert tried == [2, 4]


def test_nothing_is_tried_for_few_images_or_where_the_user_has_chosen(model: SegmenterModel, tried: list[int]) -> None:
    assert quickest(model, 2, "cpu", "auto", 40) == "auto"
    assert quickest(model, 2, "cpu", "32", None) == "32"
    assert quickest(model, 2, "cpu", "16", None) == "16"
    assert tried == []


def test_a_cpu_without_bfloat16_tries_nothing(
    model: SegmenterModel, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    monkeypatch.setattr(module, "has_bfloat16", has_bfloat16)
    assert quickest(model, 2, "cpu", "auto", None) == "auto"
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    assert quickest(model, 2, "cpu", "auto", None) == "bf16"


def test_groups_of_slices_and_any_channels_can_be_tried(tiny_base: Base) -> None:
    depth = samtailor.Adapter(depth=True)
    model = SegmenterModel.create(tiny_base.name, depth, LABELS, Preprocessing(Range(), 32, None, 4)).eval()
    assert module._tried_out(model, 4) in {"32", "bf16"}  # whichever is faster here


def test_volumes_are_many_images(tmp_path: Path) -> None:
    def jobs(*names: str) -> list[Job]:
        return [Job(CaseFiles(name, (tmp_path / name,), None), tmp_path / "out") for name in names]

    assert images_of(jobs("a.png", "b.png")) == 2
    assert images_of(jobs("a.png", "b.nii.gz")) is None


def test_an_evaluation_says_in_what_it_was_computed(
    evaluated: tuple[Path, Path], tried: list[int], tmp_path: Path
) -> None:
    run, data = evaluated
    found = samtailor.evaluate(run, data, "val", out=tmp_path / "auto", device="cpu", bootstrap=10)
    assert tried == [4]
    assert found.source["precision"] == "bf16"
    assert "Network computed in bfloat16" in str((tmp_path / "auto" / "metrics.md").read_text())
    plain = samtailor.evaluate(run, data, "val", out=tmp_path / "32", device="cpu", precision="32", bootstrap=10)
    assert "precision" not in plain.source
    files = sorted((data / "imagesTr").glob("*.nii.gz"))[:1]
    samtailor.predict(run, files, tmp_path / "masks", device="cpu")
    assert tried == [4, 4]


@pytest.fixture
def evaluated(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run on volumes, and its data."""
    samtailor.train(
        str(nnunet_folder),
        out=str(tmp_path / "run"),
        base=tiny_base.name,
        recipe=HeadOnly(),
        epochs=1,
        batch_size=4,
        sampling=samtailor.SamplingConfig(image_size=32),
        device="cpu",
    )
    return tmp_path / "run", nnunet_folder
