"""How a fitted segmenter scores, and how long its network takes, in torch and in OpenVINO.

python -m benchmarks.runtimes RUN DATA --out OUT                                # test split, or val where there is none
python -m benchmarks.runtimes RUN DATA --out OUT --kinds torch openvino-int8    # needs NNCF: pip install nncf

OUT gets results.md, which is printed too, and the scores of every kind. Both compute with OMP_NUM_THREADS threads.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.results import numbers_of
from benchmarks.exported import in_openvino
from benchmarks.machine import this_machine
from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.dataset import open_dataset
from samtailor.errors import SamTailorError
from samtailor.evaluation.cases import cases_with, check_classes
from samtailor.evaluation.predictions import score_and_write
from samtailor.files import write_text
from samtailor.inference.predictor import Predictor, computed_in, group_of
from samtailor.models.segmenter_model import SegmenterModel, load_model
from samtailor.outputs import require_place
from samtailor.reporting.table import Table
from samtailor.segmenter import Segmenter
from samtailor.settings import Split

Network = Callable[[Tensor], Tensor]
"""Images in [0, 1], (B, C, N, N), to class logits."""

KINDS = ("torch", "torch-bf16", "openvino", "openvino-bf16", "openvino-int8")
CALIBRATING = 128
"""Windows of training cases that the ranges of 8-bit integers are taken from."""
BATCH, REPEATS = 4, 5


def main(words: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for.

    Returns:
        Exit code: 2 if run, data or a setting is not as expected.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtimes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run, or the directory of a segmenter")
    parser.add_argument("data", type=Path, help="labelled folder with its classes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:-1]))
    parser.add_argument("--split", choices=("val", "test"), help="by default test, or val where there is none")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    args = parser.parse_args(words)
    try:
        print(compare(args.run, args.data, args.out, args.kinds, args.split))
    except SamTailorError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def compare(run: Path, data: Path, out: Path, kinds: Sequence[str], split: Split | None = None) -> Table:
    """Score a segmenter on a split by each kind, then time all of them in turn on the same windows.

    Raises:
        SamTailorError: If run or data are not as expected.
    """
    require_place(out, [run], data)
    dataset = open_dataset(data).with_default_split()
    split = split or dataset.held_out
    model = load_model(run).for_inference().eval()
    check_classes(dataset, model.labels)
    cached = SliceCache(dataset.labels, model.preprocessing).load
    seen = _windows(model, dataset.split("train"), cached, CALIBRATING if "openvino-int8" in kinds else BATCH)
    if any(kind.startswith("openvino") for kind in kinds):
        Segmenter(load_model(run)).export(out / "export", format="openvino")
    networks = {kind: _network(kind, model, out / "export" / "segmenter.xml", seen) for kind in kinds}
    machine, name, side = this_machine("cpu"), data.resolve().name, model.preprocessing.image_size
    host = load_model(run).for_inference()
    scores: dict[str, dict[str, float]] = {}
    for kind, network in networks.items():
        predictor = _through(network, host)
        cases = cases_with(lambda _, case: predictor.label(case.image), cached, dataset.split(split), kind)  # noqa: B023
        source = {"data": name, "split": split, "kind": kind}
        scores[kind] = numbers_of(score_and_write(cases, dataset.labels, dataset.protocol, out / kind, source=source))
    times = _in_turn(networks, torch.cat(seen[:BATCH]))
    rows = tuple(
        (
            kind,
            *(f"{value:.4f}" for value in scores[kind].values()),
            f"{1000 * times[kind]:.0f}",
            f"{times[kinds[0]] / times[kind]:.2f}",
        )
        for kind in kinds
    )
    threads = torch.get_num_threads()
    where = f"{machine.processor}, threads: {threads}; torch {machine.torch}; {split} split of {name}; {side} pixels."
    table = Table(("kind", *scores[kinds[0]], f"ms for {BATCH} windows", "times as fast"), rows, (where,))
    write_text(out / "results.md", table.to_markdown())
    return table


def _windows(
    model: SegmenterModel, files: Sequence[CaseFiles], cached: Callable[[CaseFiles], CachedCase], count: int
) -> list[Tensor]:
    """Network inputs as prediction cuts them, of random places of random cases, each with its group of slices."""
    preprocessing, random = model.preprocessing, np.random.default_rng(0)
    found: list[Tensor] = []
    for index in random.integers(len(files), size=count):
        image = cached(files[index]).image
        every = preprocessing.windows(*image.shape[2:])
        window = every[random.integers(len(every))]
        group = group_of(int(random.integers(len(image))), len(image), model.group)
        found.append(torch.stack([preprocessing.input_of(preprocessing.slice_of(image, one), window) for one in group]))
    return found


def _network(kind: str, model: SegmenterModel, file: Path, calibrating: Sequence[Tensor]) -> Network:
    """What one kind computes."""
    if kind.startswith("torch"):

        def by_torch(images: Tensor) -> Tensor:
            with torch.inference_mode(), computed_in("bf16" if kind == "torch-bf16" else "32", images.device):
                return model(images)

        return by_torch
    import openvino

    network = openvino.Core().read_model(file)
    if kind == "openvino-int8":
        network = _in_8_bits(network, calibrating)
    compute = in_openvino(network, "bf16" if kind == "openvino-bf16" else "f32")
    return lambda images: torch.from_numpy(np.array(compute(images.numpy())))


def _in_8_bits(network: object, images: Sequence[Tensor]) -> object:
    """An OpenVINO network in integers of 8 bits, as NNCF makes it of transformers (with SmoothQuant)."""
    os.environ.setdefault("NNCF_CI", "1")  # else it tells its makers, over the network, that it is used
    import nncf

    given = nncf.Dataset(images, lambda image: {"images": image.numpy()})
    with redirect_stdout(io.StringIO()):  # bars of its own
        return nncf.quantize(network, given, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(images))


def _through(network: Network, model: SegmenterModel) -> Predictor:
    """Prediction as always, with what another network gives for a batch of windows."""
    model.encode = lambda images: images
    model.decode = network
    return Predictor(model, batch_size=BATCH, precision="32", refinement=None)


def _in_turn(networks: dict[str, Network], images: Tensor) -> dict[str, float]:
    """Median seconds of each network for the same images, one after the other, several times."""
    times: dict[str, list[float]] = {kind: [] for kind in networks}
    for _ in range(REPEATS + 1):
        for kind, network in networks.items():
            began = time.perf_counter()
            network(images)
            times[kind].append(time.perf_counter() - began)
    return {kind: median(found[1:]) for kind, found in times.items()}


if __name__ == "__main__":
    sys.exit(main())
