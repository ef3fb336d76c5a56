"""How good a segmenter is after a given time, ours beside others on the same machine, split and pixels.

python -m benchmarks.accuracy DATA --out OUT                               # 15, 30, 60 and 120 minutes, seed 0
python -m benchmarks.accuracy DATA --minutes 30 --seeds 0 1 2 --out OUT    # adds to what is in OUT
python -m benchmarks.accuracy DATA --methods samtailor dynunet --minutes 15 --out OUT
python -m benchmarks.accuracy DATA --methods samtailor "samtailor --optim.ema 0.99" --minutes 20 --split val --out OUT

Behind samtailor may stand flags of samtailor train, as in the last line. OUT gets results.json, results.md and
curves.png after every fit. An interrupted comparison goes on with the same command: fits that are finished are not done
again, one that was cut off begins anew, for its clock cannot be stopped.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.job import Job, own_cache
from benchmarks.accuracy.methods import METHODS, Method, method_of
from benchmarks.accuracy.results import Fit, Results, numbers_of
from benchmarks.machine import this_machine
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.errors import SamTailorError
from samtailor.files import read_json, write_json
from samtailor.inference.predictor import choose_device
from samtailor.models.zoo import weights_files
from samtailor.outputs import require_place
from samtailor.settings import Device, Split
from samtailor.training.settings import TrainConfig
from samtailor.version import VERSION


def main(words: Sequence[str] | None = None) -> int:
    """Fit and score what the command line asks for.

    Returns:
        Exit code: 2 if data or a setting is not as expected.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--minutes", type=_minutes, nargs="+", default=[15.0, 30.0, 60.0, 120.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--methods", nargs="+", metavar="METHOD", default=list(METHODS), help=f"of {', '.join(METHODS)}; by default all"
    )
    parser.add_argument("--base", default=TrainConfig.base, help="base of SamTailor's own methods")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--split", choices=("val", "test"), help="cases that are scored: by default test, or val where there is none"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    args = parser.parse_args(words)
    try:
        compare(args.data, args.out, args.minutes, args.seeds, args.methods, args.base, args.device, args.split)
    except SamTailorError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def compare(
    data: Path,
    out: Path,
    minutes: Sequence[float],
    seeds: Sequence[int],
    methods: Sequence[str],
    base: str,
    device: Device,
    split: Split | None = None,
) -> Results:
    """Fit and score, method by method, what is not there yet; short times first.

    Raises:
        SamTailorError: If data or a setting is not as expected, or `out` holds another comparison.
    """
    asked = {name: method_of(name) for name in methods}
    require_place(out, data=data)
    weights_files(base)  # fetched before a clock runs
    folder = open_dataset(data).with_default_split()
    split = split or folder.held_out
    titles = {name: method.title for name, method in (METHODS | asked).items()}
    results = Results(out, _about(folder, split, base, device), titles)
    for limit in sorted(set(minutes)):
        for seed in dict.fromkeys(seeds):
            for name, method in asked.items():
                if not results.has(name, limit, seed):
                    place = out / "-".join([*re.findall(r"[\w.]+", name), f"{limit:g}m", f"seed{seed}"])
                    job = Job(folder, place, limit, seed, base, device, split)
                    results.add(Fit(name, limit, seed, *fitted_and_scored(method, job)))
                    print(f"{results.table()}\n", flush=True)
    return results


def fitted_and_scored(method: Method, job: Job) -> tuple[float, dict[str, float], dict[str, Any]]:
    """Seconds, scores and facts of one fit; if it was finished, but not scored, it is only scored."""
    done = job.out / "fit.json"
    if not done.is_file():
        shutil.rmtree(job.out, ignore_errors=True)
        job.out.mkdir(parents=True)
        with own_cache(job.out / "cache"):
            began = time.monotonic()
            facts = method.fit(job)
            seconds = time.monotonic() - began
        write_json(done, {"seconds": seconds, "facts": facts})
    found: dict[str, Any] = read_json(done, dict, "delete the folder, and give the command again")
    return found["seconds"], numbers_of(method.score(job)), found["facts"]


def _about(folder: Dataset, split: Split, base: str, device: Device) -> dict[str, Any]:
    """What all fits of a comparison share."""
    counts: dict[str, Any] = {name: len(folder.split(name)) for name in ("train", "val")}
    return {
        "machine": asdict(this_machine("cuda" if choose_device(device).type == "cuda" else "cpu")),
        "threads": torch.get_num_threads(),
        "samtailor": VERSION,
        "monai": version("monai"),
        "data": folder.root.resolve().name,
        "fingerprint": folder.fingerprint(),
        "split": {**counts, "scored": split, "cases": len(folder.split(split))},
        "base": base,
    }


def _minutes(word: str) -> float:
    minutes = float(word)
    if not 0 < minutes < 10_000:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, found {word}")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
