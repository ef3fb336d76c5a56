"""Measures one line; each task (both sides in turns, one side's memory, a growing line) in a process of its own.

`python -m benchmarks.worker LINE [--small] [--full] [--repeats N] [--clock CLOCK]` prints JSON last. The processes are
forked from this one, which has imported everything and computed nothing: libraries are loaded once for a line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from benchmarks.line import Line, Place, Prepared, Side
from benchmarks.lines import find
from benchmarks.measure import Clock, Peak, in_turns, matrix_rate, timed

_SLOW = 5.0
"""Seconds from which the first run of a growing line counts and is not repeated."""

Task = Literal["turns", "growth", "ours", "peer"]


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
        found = forked("turns", args)
        found["gigabytes"] = forked("ours", args)["gigabytes"] if found["has_memory"] else None
        found["peer_gigabytes"] = forked("peer", args)["gigabytes"] if found["has_memory"] and line.peer else None
        del found["has_memory"]
    print(json.dumps(found))


def forked(task: Task, args: argparse.Namespace) -> dict[str, Any]:
    """What a task finds in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(done, (task, args))


def done(task: Task, args: argparse.Namespace) -> dict[str, Any]:
    """What a task finds, in this process."""
    line = find(args.line)
    if args.clock == "processor":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder:
        place = Place(Path(folder), line.device, args.small, args.full)
        match task:
            case "turns":
                return turns(line, place, args.repeats, args.clock)
            case "growth":
                return growth(line, place, args.repeats, args.clock)
            case side:
                return memory(line, place, side)


def prepared(line: Line, side: Side, place: Place) -> Prepared:
    """A side in a folder of its own."""
    folder = place.folder / side
    folder.mkdir()
    return line.prepare(side, Place(folder, place.device, place.small, place.full))


def turns(line: Line, place: Place, repeats: int, clock: Clock) -> dict[str, Any]:
    """Seconds of all sides, and what the machine could do."""
    difference = line.agreement() if line.agreement else None
    if difference is not None and difference > 1e-3:
        raise SystemExit(f"{line.name}: expected both sides to agree to 1e-3, found a difference of {difference:.1e}")
    works = [prepared(line, side, place) for side in line.sides]
    seconds = in_turns([work.run for work in works], repeats, clock, line.device)
    found: dict[str, Any] = {"seconds": seconds[0], "peer_seconds": seconds[1] if len(seconds) > 1 else []}
    found |= {"difference": difference, "has_memory": works[0].holder is not None}
    return {**found, **_beside(line, works, clock)}


def growth(line: Line, place: Place, repeats: int, clock: Clock) -> dict[str, Any]:
    """Time and memory of ours in one process; the first run is the only one if it is slow."""
    work = prepared(line, "ours", place)
    assert work.holder is not None
    peak = Peak(work.holder)
    seconds = [timed(work.run, clock, line.device)]
    gigabytes = peak.gigabytes()
    if seconds[0] < _SLOW:
        seconds = [timed(work.run, clock, line.device) for _ in range(repeats)]
    return {"seconds": seconds, "gigabytes": gigabytes, **_beside(line, [work], clock)}


def memory(line: Line, place: Place, side: Side) -> dict[str, Any]:
    """Peak memory of one side."""
    work = prepared(line, side, place)
    assert work.holder is not None
    peak = Peak(work.holder)
    for _ in range(work.peak_runs):
        work.run()
    return {"gigabytes": peak.gigabytes()}


def _beside(line: Line, works: list[Prepared], clock: Clock) -> dict[str, Any]:
    """What is found beside the seconds, from whichever side knows it."""
    counts = [work.gflop for work in works if work.gflop]
    return {
        "gflop": counts[0]() if counts else None,
        "matrix_rate": matrix_rate(clock, line.device),
        "threads": torch.get_num_threads(),
        **works[0].facts(),
    }


if __name__ == "__main__":
    main()
