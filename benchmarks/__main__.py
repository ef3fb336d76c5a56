"""One table of speed and memory beside others on the same work, printed and kept for this kind of machine.

make bench                                            # all usual lines; by estimate 25 minutes on two quiet cores
make bench LINES="encoder-512 score"                  # these; the others in the files stay
python -m benchmarks --lines "encoder-*" --repeats 7
python -m benchmarks --gpu                            # the lines of a CUDA device
python -m benchmarks --list
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from benchmarks.line import Line
from benchmarks.lines import LINES, select
from benchmarks.machine import this_machine
from benchmarks.measure import Clock, Device
from benchmarks.results import FOLDER, add
from benchmarks.row import Row, markdown


def main(words: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for.

    Returns:
        Exit code: 1 if a line failed, 2 if it asks for what cannot be.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", nargs="+", default=[], help="names or patterns; see --list")
    parser.add_argument("--repeats", type=int, default=5, help="of each side, after one that is not counted")
    parser.add_argument("--gpu", action="store_true", help="the lines of a CUDA device")
    parser.add_argument("--full", action="store_true", help="the largest sizes, where a line has smaller ones")
    parser.add_argument("--small", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--clock", choices=get_args(Clock), default="wall", help="'processor' (one thread) if in use")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the results")
    parser.add_argument("--list", action="store_true", help="only name the lines")
    args = parser.parse_args(words)
    if args.list:
        for line in LINES:
            marks = ("" if line.usual else ", if named") + (", --gpu" if line.device == "cuda" else "")
            print(f"{line.name:22}{line.work}{f' / {line.peer}' if line.peer else ''}{marks}")
        return 0
    if args.repeats < 1:
        parser.error(f"--repeats: expected at least 1, found {args.repeats}")
    if args.gpu and not cuda_is_there():
        parser.error("--gpu: expected a CUDA device, found none; leave --gpu out to measure the CPU")
    device: Device = "cuda" if args.gpu else "cpu"
    try:
        lines = select(args.lines, device)
    except ValueError as error:
        parser.error(str(error))
    begin = time.perf_counter()
    machine, rows, failed = this_machine(device), [], []
    for line in lines:
        missing = line.missing()
        if missing:
            print(f"{line.name}: passed over, not installed: {', '.join(missing)}", file=sys.stderr)
            continue
        start = time.perf_counter()
        try:
            row = measured(line, args)
        except subprocess.CalledProcessError as error:
            print(f"{line.name}: failed\n{error.stderr}", file=sys.stderr)
            failed.append(line.name)
            continue
        rows = add(row, machine, args.out)
        print(f"{line.name}: measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if rows:
        print(markdown(machine, rows))
    print(f"{len(lines)} lines in {(time.perf_counter() - begin) / 60:.1f} min", file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measured(line: Line, args: argparse.Namespace) -> Row:
    """Measure a line, away from this process.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    options = ["--repeats", str(args.repeats), "--clock", args.clock]
    options += [f"--{name}" for name in ("small", "full") if getattr(args, name)]
    command = [sys.executable, "-m", "benchmarks.worker", line.name, *options]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Row(
        line.name,
        line.work,
        line.peer,
        args.clock,
        seconds=tuple(found.pop("seconds")),
        peer_seconds=tuple(found.pop("peer_seconds", ())),
        targets=line.targets,
        small=args.small,
        full=args.full,
        grows=line.grows,
        at=line.at,
        **found,
    )


def cuda_is_there() -> bool:
    """Whether torch sees a GPU."""
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    sys.exit(main())
