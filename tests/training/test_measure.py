"""A measurement runs real steps, apart from the caller, and never takes the caller down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from samtailor.data.dataset import open_dataset
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.zoo import Base
from samtailor.training import measure as measuring
from samtailor.training.measure import Probe, is_shortage, measure, measure_apart
from samtailor.training.resolve import resolve
from samtailor.training.settings import SamplingConfig, TrainConfig
from tests.training.cases import cached_case

AMPLE = 1 << 50
MEASURING = """
import sys
from pathlib import Path
from samtailor.models.zoo import BASES
from samtailor.training.measure import main
from tests.tiny_base import tiny_base
folder = Path(sys.argv[1])
BASES["tiny-sam"] = tiny_base(folder / "tiny_sam.pth")
main(folder)
"""


@pytest.fixture
def job(tiny_base: Base, nnunet_folder: Path, label_space: LabelSpace) -> Probe:
    """The tiny base, which is in the zoo of this process only."""
    config = TrainConfig(
        data=str(nnunet_folder), out="", base=tiny_base.name, device="cpu", sampling=SamplingConfig(image_size=32)
    )
    case = cached_case(label_space)
    return Probe(resolve(config, open_dataset(nnunet_folder)), label_space, case, case, case.image[:, 0].shape)


def test_the_clock_stops_when_enough_is_known(job: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure(job, tmp_path).steps > 1
    monkeypatch.setattr(measuring, "ENOUGH", 0.0)
    found = measure(job, tmp_path)
    assert found.steps == 1
    assert found.window_seconds > 0


def test_workers_take_the_preparation_off_the_step(job: Probe) -> None:
    clock = measuring._Clock(torch.device("cpu"), job)
    clock.preparing, clock.computing = [99.0, 6.0], [99.0, 2.0]
    assert [clock.step_seconds(workers) for workers in (0, 1, 3, 6)] == [8.0, 6.0, 2.0, 2.0]


def test_what_a_whole_case_takes_counts_though_only_slices_are_validated(job: Probe, tmp_path: Path) -> None:
    pixels = 8_000_000
    whole = replace(job, largest=(1, pixels, 1))
    small, large = memory_in_fresh_process(job, tmp_path / "small"), memory_in_fresh_process(whole, tmp_path / "large")
    assert large - small > 0.8 * pixels * (2 + 4 * 2 * (len(job.labels) + 1))


def memory_in_fresh_process(job: Probe, folder: Path) -> int:
    """What `measure` finds in a process that has no memory left over to use again, and has the tiny base in its zoo."""
    folder.mkdir()
    measuring._write(job, folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", MEASURING, str(folder)], env=environment, check=True)
    found = measuring._read(folder)
    assert found is not None
    return found.memory


def test_errors_of_the_other_process_come_back(job: Probe) -> None:
    with pytest.raises(ConfigError, match=r"expected one of sam-vit-b.*found 'tiny-sam'"):
        measure_apart(job, AMPLE)


def test_a_process_that_takes_too_much_is_ended(job: Probe) -> None:
    before = psutil.Process().children()
    assert measure_apart(job, 1 << 20) is None
    assert psutil.Process().children() == before


def test_ctrl_c_ends_the_other_process(job: Probe) -> None:
    before = psutil.Process().children()
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        measure_apart(job, AMPLE)
    timer.join()
    assert psutil.Process().children() == before


def test_memory_that_does_not_suffice_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as shortage:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_shortage(shortage.value)
    assert is_shortage(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_shortage(MemoryError())
    assert not is_shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_shortage(FileNotFoundError(2, "nothing"))


def test_validation_holds_what_the_largest_case_would_hold_beside_the_slices_that_are_seen(job: Probe) -> None:
    seen = job.validation.image[:, 0].shape
    largest = (seen[0] + 5, seen[1] + 20, seen[2] + 10)
    clock = measuring._Clock(torch.device("cpu"), replace(job, largest=largest))
    clock.on_validation_epoch_start(None, None)  # type: ignore[arg-type]
    label, blended = clock._held
    assert len(label) == largest[0] * largest[1] * largest[2] - seen[0] * seen[1] * seen[2]
    assert label.itemsize == 2
    # Sum and quotient of the logits of all classes, and the weights of both, of a slice.
    assert len(blended) == 2 * (len(job.labels) + 1) * (largest[1] * largest[2] - seen[1] * seen[2])
    clock.on_validation_epoch_end(None, None)  # type: ignore[arg-type]
    assert not clock._held
