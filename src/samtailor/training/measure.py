"""Some real training steps, measured in a process of their own: `python -m samtailor.training.measure FOLDER`."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from samtailor import errors
from samtailor.data.cache import CachedCase
from samtailor.files import write_json
from samtailor.inference.predictor import choose_device
from samtailor.labels import LabelSpace
from samtailor.memory import peak_memory, resident_memory
from samtailor.runs import Run
from samtailor.training.embeddings import case_windows
from samtailor.training.fit import Cases, new_segmenter, new_trainer, prepare
from samtailor.training.settings import TrainConfig

WARM_UP = 1
"""Steps before the clock starts: the first one allocates, and makes the optimiser's state."""
STEPS = 10
"""Steps that are measured at most."""
ENOUGH = 6.0
"""Seconds of measured steps after which no further one begins."""

_POLL = 0.05  # seconds between two looks at a child's memory
_ARRAYS = ("image", "label", "counts")


@dataclass(frozen=True)
class Probe:
    """What is measured.

    Attributes:
        config: Resolved config.
        labels: Classes.
        train: Some slices to train on.
        validation: Some slices to validate on, perhaps only a corner of each.
        largest: Slices, rows and columns of the largest validation case.
    """

    config: TrainConfig
    labels: LabelSpace
    train: CachedCase
    validation: CachedCase
    largest: tuple[int, int, int]


@dataclass(frozen=True)
class Measurement:
    """What a setting took.

    Attributes:
        device: Where it was computed, in words.
        memory: The most memory the process held, in bytes.
        weights: Bytes of all weights.
        optimiser: Bytes of gradients and AdamW's two moments.
        gpu_memory: The most memory PyTorch held on the GPU, in bytes; None without one.
        gpu_free: GPU memory that was free when the process began, in bytes; None without one.
        steps: Training steps that were measured.
        step_seconds: Seconds per training step, its samples' preparation included.
        window_seconds: Seconds per window of a validation case.
        embedding_seconds: Seconds per window of which the frozen part of the encoder is computed once; 0 if none is.
        embedding_bytes: Bytes on disk per window; 0 if nothing is kept.
    """

    device: str
    memory: int
    weights: int
    optimiser: int
    gpu_memory: int | None
    gpu_free: int | None
    steps: int
    step_seconds: float
    window_seconds: float
    embedding_seconds: float = 0.0
    embedding_bytes: int = 0

    def fits_gpu(self, headroom: float) -> bool:
        """Whether it takes at most that fraction of the GPU memory that was free; True without a GPU."""
        return self.gpu_memory is None or self.gpu_free is None or self.gpu_memory <= headroom * self.gpu_free


def measure(job: Probe, scratch: Path) -> Measurement:
    """Train some steps and validate on some slices, in this process, of which peaks of memory are told as a whole.

    Of a training that begins with the head this is measured alone (see `TrainConfig.phases`).
    """
    device = choose_device(job.config.device)
    on_gpu = device.type == "cuda"
    gpu_free = torch.cuda.mem_get_info(device)[0] if on_gpu else None
    drawn = (WARM_UP + STEPS) * job.config.batch_size
    # Samples are prepared here and timed apart; what workers save is calculated.
    config = replace(job.config, workers=0, sampling=replace(job.config.sampling, per_epoch=drawn))
    model = new_segmenter(config, job.labels, job.train.image.shape[1])
    keeps_embeddings = config.head_epochs > 0 or config.is_cached(model.preprocessing.channels)
    cases = Cases([job.train], [job.validation, job.validation])  # the first validation warms up
    fitting = prepare(config, model, cases, scratch / "warm-up")
    embedding_seconds, embedding_bytes = 0.0, 0
    if keeps_embeddings:
        begin = _now(device)
        fitting = prepare(config, model, Cases([job.train], [job.validation]), scratch / "measured")
        windows = sum(len(case_windows(case, model)) for case in (job.train, job.validation))
        embedding_seconds = (_now(device) - begin) / windows
        model.network.encoder_rests = config.head_epochs > 0
        shapes = model.network.frozen_shapes(model.preprocessing.image_size)
        embedding_bytes = 2 * sum(prod(shape) for shape in shapes)
    clock = _Clock(device, job)
    quiet = {"enable_checkpointing": False, "logger": False}
    trainer = new_trainer(config, devices=1, max_epochs=1, callbacks=[clock], **quiet)
    trainer.fit(fitting.task, fitting.samples, fitting.cases)
    threads = torch.get_num_threads()
    cpu = f"the CPU, {errors.counted(threads, 'thread')}"
    return Measurement(
        device=torch.cuda.get_device_name(device) if on_gpu else cpu,
        memory=peak_memory(),
        weights=sum(p.nbytes for p in model.parameters()),
        optimiser=3 * sum(p.nbytes for p in model.parameters() if p.requires_grad),
        gpu_memory=torch.cuda.max_memory_reserved(device) if on_gpu else None,
        gpu_free=gpu_free,
        steps=len(clock.computing) - WARM_UP,
        step_seconds=clock.step_seconds(job.config.workers),
        window_seconds=clock.validating[-1] / len(case_windows(job.validation, model)),
        embedding_seconds=embedding_seconds,
        embedding_bytes=embedding_bytes,
    )


class _Clock(lightning.Callback):
    """Times steps and validations; holds what validating a whole case holds beside the windows of some slices."""

    def __init__(self, device: torch.device, job: Probe) -> None:
        self.preparing: list[float] = []
        self.computing: list[float] = []
        self.validating: list[float] = []
        self._device = device
        self._mark = 0.0
        self._held: list[Any] = []
        slices, height, width = job.largest
        seen = job.validation.image
        self._voxels = slices * height * width - len(seen) * prod(seen.shape[2:])
        # Windows are blended in a sum, which is divided by the sum of their weights.
        self._logits = 2 * (len(job.labels) + 1) * (height * width - prod(seen.shape[2:]))

    def step_seconds(self, workers: int) -> float:
        """Seconds per step if that many processes prepare samples."""
        preparing, computing = (float(np.median(times[WARM_UP:])) for times in (self.preparing, self.computing))
        return max(computing, preparing / workers) if workers else computing + preparing

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._lap()

    def on_train_batch_start(self, *_: Any) -> None:
        self.preparing.append(self._lap())

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.computing.append(self._lap())
        if sum(self.preparing[WARM_UP:] + self.computing[WARM_UP:]) > ENOUGH:
            trainer.should_stop = True

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._held = [np.ones(max(0, self._voxels), np.int16), torch.ones(max(0, self._logits), device=self._device)]

    def on_validation_batch_start(self, *_: Any) -> None:
        self._lap()

    def on_validation_batch_end(self, *_: Any) -> None:
        self.validating.append(self._lap())

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._held.clear()

    def _lap(self) -> float:
        """Seconds since the last call."""
        now = _now(self._device)
        lap, self._mark = now - self._mark, now
        return lap


def _now(device: torch.device) -> float:
    """Seconds on the clock once the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    signs = ("can't allocate memory", "bad_alloc", "out of memory", "ALLOC_FAILED")
    says_so = isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
    return says_so or isinstance(error, MemoryError | torch.OutOfMemoryError)


def measure_apart(job: Probe, limit: int) -> Measurement | None:
    """Measure in a fresh process, ended once it holds more than `limit` bytes; None if memory does not suffice."""
    with tempfile.TemporaryDirectory(prefix="samtailor-estimate-") as scratch:
        folder = Path(scratch)
        _write(job, folder)
        command = [sys.executable, "-m", "samtailor.training.measure", scratch]
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                suffices = _watch(process, limit)
            finally:  # also on Ctrl-C
                process.kill()
                process.wait()
        return _read(folder) if suffices and process.returncode != -signal.SIGKILL else None


def _watch(process: subprocess.Popen[bytes], limit: int) -> bool:
    """Wait for the end of a process; False as soon as it holds more memory than it may."""
    while process.poll() is None:
        if resident_memory(process.pid) > limit:
            return False
        time.sleep(_POLL)
    return True


def _write(job: Probe, folder: Path) -> None:
    """Leave a job in a folder for the other process."""
    Run(folder).write_config(job.config.to_plain())
    for name, array in product(("train", "validation"), _ARRAYS):
        np.save(folder / f"{name}-{array}.npy", getattr(getattr(job, name), array))
    write_json(folder / "job.json", {"labels": job.labels.to_json(), "largest": job.largest})


def _job_of(folder: Path) -> Probe:
    """Inverse of `_write`; the arrays stay on disk."""
    content = json.loads((folder / "job.json").read_text(encoding="utf-8"))

    def case(name: str) -> CachedCase:
        arrays = {array: np.load(folder / f"{name}-{array}.npy", mmap_mode="r") for array in _ARRAYS}
        return CachedCase(name, name, spacing=None, **arrays)

    config = TrainConfig.from_plain(Run(folder).read_config(), str(folder))
    labels = LabelSpace.from_json(content["labels"])
    return Probe(config, labels, case("train"), case("validation"), tuple(content["largest"]))


def _read(folder: Path) -> Measurement | None:
    """What the other process found; None if memory did not suffice."""
    result = folder / "result.json"
    if not result.is_file():
        raise RuntimeError(f"measuring a training step failed:\n{(folder / 'log.txt').read_text('utf-8', 'replace')}")
    match json.loads(result.read_text(encoding="utf-8")):
        case {"error": kind, "message": message} if hasattr(errors, kind):
            found = getattr(errors, kind)
            raise (errors.DataError if found is errors.FileError else found)(message)
        case {"error": kind, "message": message, "traceback": text}:
            raise RuntimeError(f"measuring a training step failed with {kind}: {message}\n{text}")
        case found:
            return Measurement(**found) if found else None


def main(folder: Path) -> None:
    """Measure the job in a folder and leave `result.json` there."""
    content: dict[str, Any] | None = None
    try:
        content = asdict(measure(_job_of(folder), folder))
    except Exception as error:
        if not is_shortage(error):
            content = {"error": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
    write_json(folder / "result.json", content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
