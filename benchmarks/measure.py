"""Time, peak memory, and the rate of a matrix product, on a CPU or a GPU."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

Clock = Literal["wall", "processor"]
Device = Literal["cpu", "cuda"]
Holder = Literal["process", "cuda"]
"""Whose memory counts: this process's or the GPU's."""

CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def timed(work: Callable[[], object], clock: Clock, device: Device = "cpu") -> float:
    """Seconds that a piece of work takes; on a GPU until it has finished there."""
    start = CLOCKS[clock]()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return CLOCKS[clock]() - start


def matrix_rate(clock: Clock, device: Device = "cpu", repeats: int = 5) -> float:
    """Best rate of a matrix product, GFLOP/s: float32 in the shape of an MLP of ViT-B, or bfloat16 on a GPU.

    On a CPU the better of torch's product (MKL) and its 1 x 1 convolution (oneDNN), which is the same.
    """
    rows, inner, columns = (8192, 8192, 8192) if device == "cuda" else (1024, 768, 3072)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(inner, columns, device=device, dtype=dtype)
    ways: list[Callable[[], object]] = [lambda: left @ right]
    if device == "cpu":
        pixels, kernels = left.view(1, 1, rows, inner).permute(0, 3, 1, 2), right.T[:, :, None, None]
        ways.append(lambda: torch.conv2d(pixels, kernels))
    seconds = [timed(way, clock, device) for way in ways for _ in range(repeats)]
    return 2e-9 * rows * inner * columns / min(seconds)


class Peak:
    """Peak memory beyond what is held when this object is made: weights, inputs, libraries."""

    def __init__(self, holder: Holder) -> None:
        """Start counting.

        Args:
            holder: Whose memory counts.
        """
        self.holder = holder
        self.before = 0
        match holder:
            case "cuda":
                torch.cuda.reset_peak_memory_stats()
                self.before = torch.cuda.memory_allocated()
            case "process":
                gc.collect()
                ctypes.CDLL(None).malloc_trim(0)  # else freed memory of the preparation would serve the work unseen
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is what is held now
                self.before = _status("VmRSS")

    def gigabytes(self) -> float:
        """The peak until now, in units of 2**30 bytes."""
        match self.holder:
            case "cuda":
                held = torch.cuda.max_memory_allocated()
            case "process":
                held = _status("VmHWM")
        return (held - self.before) / 2**30


def _status(field: str) -> int:
    """Bytes of a field of Linux' account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
