"""Two sides of one piece of work, ours and a peer's: times in turns in one process, peak memory in a process each."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

import torch

Clock = Literal["wall", "processor"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class Line:
    """One piece of work, measured.

    Attributes:
        work: What is done.
        clock: 'wall', or 'processor' for a machine that others use as well (with one thread).
        seconds: Median of ours.
        peer_seconds: Median of the peer's.
        gigabytes: Peak memory of ours beyond what the process holds before the first repeat (weights, libraries).
        peer_gigabytes: Of the peer's.
        gflop: Floating point operations that the work needs, in units of 1e9.
        matrix_rate: Measured rate of a matrix product on this machine, GFLOP/s.
    """

    work: str
    clock: Clock
    seconds: float
    peer_seconds: float
    gigabytes: float
    peer_gigabytes: float
    gflop: float
    matrix_rate: float

    def markdown(self) -> str:
        """Row of a table under `HEAD`."""
        of_rate = self.gflop / self.seconds / self.matrix_rate
        return (
            f"| {self.work} | {self.seconds:.2f} | {self.peer_seconds:.2f} | {self.peer_seconds / self.seconds:.2f} | "
            f"{self.gigabytes:.2f} | {self.peer_gigabytes:.2f} | {self.gigabytes / self.peer_gigabytes:.0%} | "
            f"{of_rate:.0%} |"
        )


HEAD = """\
| work | s | peer, s | times as fast | GB | peer, GB | of the peer's | of the matrix rate |
|---|---|---|---|---|---|---|---|"""


def matrix_rate(clock: Clock, repeats: int = 5) -> float:
    """Best rate of a product of matrices of 1024 x 768 and 768 x 3072, GFLOP/s."""
    left, right = torch.randn(1024, 768), torch.randn(768, 3072)
    seconds = min(timed(lambda: left @ right, clock) for _ in range(repeats))
    return 2e-9 * 1024 * 768 * 3072 / seconds


def timed(work: Callable[[], object], clock: Clock) -> float:
    """Seconds that a piece of work takes."""
    start = CLOCKS[clock]()
    work()
    return CLOCKS[clock]() - start


def in_turns(ours: Callable[[], object], peer: Callable[[], object], repeats: int, clock: Clock) -> tuple[float, float]:
    """Medians of both sides, after one repeat each that is not counted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 + repeats):
        for side, work in zip(seconds, (ours, peer), strict=True):
            side.append(timed(work, clock))
    return median(seconds[0][1:]), median(seconds[1][1:])


def peak_beyond(work: Callable[[], object], repeats: int = 2) -> float:
    """Gigabytes by which the peak of this process rises above what it holds now; only once in a process."""
    before = resident()
    for _ in range(repeats):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 - before


def resident() -> float:
    """Gigabytes that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize() / 2**30


def peak_of(script: str, *arguments: str) -> float:
    """What `peak_beyond` gave in a process of its own, which runs a script that prints it last."""
    output = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def report(lines: list[Line], json_file: str | None) -> None:
    """Print a table, and write the numbers as JSON if a file is named."""
    print("\n".join([HEAD, *(line.markdown() for line in lines)]))
    if json_file:
        with open(json_file, "w", encoding="utf-8") as stream:
            json.dump([asdict(line) for line in lines], stream, indent=1)
