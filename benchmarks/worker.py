"""Measures one line: both sides in turns, the memory of each, or how it grows, all in processes of their own.

`python -m benchmarks.worker LINE [--small] [--full] [--repeats N] [--clock CLOCK]` prints JSON last. The processes are
forked from this one, which has imported everything and computed nothing: libraries are loaded once for a line. The
sides take turns in two processes, since what one of them frees or keeps changes how long the other waits for memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from benchmarks.line import Line, Place, Prepared, Side
from benchmarks.lines import find
from benchmarks.measure import Clock, Device, Peak, matrix_rate, timed

_SLOW = 5.0
"""Seconds from which the first run of a growing line counts and is not repeated."""

Task = Literal["agreement", "growth", "ours", "peer"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("line")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=get_args(Clock), default="wall")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    line = find(args.line)
    if line.grows:
        found = forked("growth", args)
    else:
        found = forked("agreement", args) | turns(args)
        counts = found.pop("has_memory")
        found["gigabytes"] = forked("ours", args)["gigabytes"] if counts else None
        found["peer_gigabytes"] = forked("peer", args)["gigabytes"] if counts and line.peer else None
    print(json.dumps(found))


def forked(task: Task, args: argparse.Namespace) -> dict[str, Any]:
    """What a task finds in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(done, (task, args))


def done(task: Task, args: argparse.Namespace) -> dict[str, Any]:
    """What a task finds, in this process."""
    line = find(args.line)
    if task == "agreement":
        return {"difference": agreement(line)}
    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder:
        if task == "growth":
            return growth(line, prepared(line, "ours", Path(folder), args), args)
        return memory(prepared(line, task, Path(folder), args))


def prepared(line: Line, side: Side, folder: Path, args: argparse.Namespace) -> Prepared:
    """A side of a line, in a folder of its own."""
    if args.clock == "processor":
        torch.set_num_threads(1)
    (folder / side).mkdir()
    return line.prepare(side, Place(folder / side, line.device, args.small, args.full))


def agreement(line: Line) -> float | None:
    """How far the sides differ; they are not measured if it is too far."""
    difference = line.agreement() if line.agreement else None
    if difference is not None and difference > 1e-3:
        raise SystemExit(f"{line.name}: expected both sides to agree to 1e-3, found a difference of {difference:.1e}")
    return difference


_held: list[Prepared] = []
"""The side that this process has prepared."""


def hold(side: Side, folder: Path, args: argparse.Namespace) -> None:
    """Prepare a side in this process."""
    _held.append(prepared(find(args.line), side, folder, args))


def run_held(clock: Clock, device: Device) -> float:
    """Seconds of the held side."""
    return timed(_held[0].run, clock, device)


def beside_held(args: argparse.Namespace) -> dict[str, Any]:
    """What is found beside the seconds of the held side."""
    return {"has_memory": _held[0].holder is not None, **_beside(find(args.line), _held[0], args.clock)}


def turns(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all sides in turns, after one repeat each that is not counted, and what the machine could do."""
    line = find(args.line)
    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder, ExitStack() as stack:
        fork = multiprocessing.get_context("fork")
        pools = [stack.enter_context(fork.Pool(1)) for _ in line.sides]
        for side, pool in zip(line.sides, pools, strict=True):
            pool.apply(hold, (side, Path(folder), args))
        rounds = [[pool.apply(run_held, (args.clock, line.device)) for pool in pools] for _ in range(1 + args.repeats)]
        seconds = [list(of_side) for of_side in zip(*rounds[1:], strict=True)]
        found = pools[0].apply(beside_held, (args,))
    return {"seconds": seconds[0], "peer_seconds": seconds[1] if len(seconds) > 1 else [], **found}


def growth(line: Line, work: Prepared, args: argparse.Namespace) -> dict[str, Any]:
    """Time and memory of ours in one process; the first run is the only one if it is slow."""
    assert work.holder is not None
    peak = Peak(work.holder)
    seconds = [timed(work.run, args.clock, line.device)]
    gigabytes = peak.gigabytes()
    if seconds[0] < _SLOW:
        seconds = [timed(work.run, args.clock, line.device) for _ in range(args.repeats)]
    return {"seconds": seconds, "gigabytes": gigabytes, **_beside(line, work, args.clock)}


def memory(work: Prepared) -> dict[str, Any]:
    """Peak memory of one side."""
    assert work.holder is not None
    peak = Peak(work.holder)
    for _ in range(work.peak_runs):
        work.run()
    return {"gigabytes": peak.gigabytes()}


def _beside(line: Line, work: Prepared, clock: Clock) -> dict[str, Any]:
    """What is found beside our seconds."""
    return {
        "gflop": work.gflop() if work.gflop else None,
        "matrix_rate": matrix_rate(clock, line.device),
        "threads": torch.get_num_threads(),
        **work.facts(),
    }


if __name__ == "__main__":
    main()
