"""Prediction of whole volumes, end to end: what it costs beyond the network, how it grows, and a plain loop beside it.

    python benchmarks/prediction.py                              # small: minutes on two cores
    python benchmarks/prediction.py --base sam-vit-b --size 512 --slices 10 --peer
    python benchmarks/prediction.py --grow 50 100 200 400        # memory and time over the number of slices

Weights are random: time and memory do not depend on them. Every measurement runs in a process of its own; in it the
volume is predicted and the bare network runs on the same inputs, in turns, and medians are given. Overhead is what the
prediction, from loading the segmenter to the written label, takes beyond the network's calls inside it: its share of
the wall time, and of the processor time, which other programs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIDE = 512
SPACING = (0.8, 0.8, 2.5)


def main() -> None:
    """Measure what the command line asks for, print a table, and write it as JSON if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="lite-medsam")
    parser.add_argument("--size", type=int, default=128, help="side of the network's input")
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--grow", type=int, nargs="*", default=[], help="also these numbers of slices, once each")
    parser.add_argument("--peer", action="store_true", help="also a plain loop with transformers' SamModel")
    parser.add_argument("--scene", type=int, default=0, help="also one picture of that side, in windows of 512 pixels")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        print(json.dumps(WORK[args.work](args)))
        return
    rows = [measured(args, "volume")]
    if args.peer:
        rows.append(measured(args, "peer"))
    rows += [measured(args, "volume", slices=slices, repeats=1) for slices in args.grow]
    if args.scene:
        rows.append(measured(args, "scene", repeats=1))
    print(table(rows))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows, indent=1))


def measured(args: argparse.Namespace, work: str, **changes: int) -> dict[str, Any]:
    """One row, measured in a new process."""
    given = {"base": args.base, "size": args.size, "classes": args.classes, "slices": args.slices}
    given |= {"repeats": args.repeats, "scene": args.scene, **changes}
    options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, __file__, "--work", work, *options], stdout=subprocess.PIPE, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row["what"], f"{row['wall']:.2f} s", file=sys.stderr)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    columns = {
        "wall": "wall s",
        "bare": "bare network s",
        "share": "overhead % of wall",
        "cpu_share": "overhead % of processor",
        "peak": "peak memory MB",
    }
    lines = ["| " + " | ".join(["work", *columns.values()]) + " |", "|---" * (1 + len(columns)) + "|"]
    for row in rows:
        values = [f"{row[key]:.{0 if key == 'peak' else 1}f}" if key in row else "" for key in columns]
        lines.append("| " + " | ".join([row["what"], *values]) + " |")
    return "\n".join(lines)


def volume(args: argparse.Namespace) -> dict[str, Any]:
    """A NIfTI volume in, a NIfTI label out, beside the bare network on the same inputs."""
    import torch

    import samtailor
    from samtailor.data.intensity import Window
    from samtailor.data.preprocessing import Preprocessing
    from samtailor.models.segmenter import Segmenter
    from samtailor.training.memory import peak_memory

    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder:
        home = Path(folder)
        made_segmenter(args, home, Preprocessing(Window(), args.size, None, 1))
        write_volume(home / "volume.nii.gz", args.slices)
        inside = time_in(Segmenter, "forward")
        walls, shares, cpu_shares, bares, peak = [], [], [], [], 0.0
        network = samtailor.load(home / "segmenter").for_inference()
        batches = [torch.rand(min(8, args.slices - i), 3, args.size, args.size) for i in range(0, args.slices, 8)]
        for _ in range(args.repeats):
            inside.clear()
            wall, cpu = timed(lambda: samtailor.predict(home / "segmenter", [home / "volume.nii.gz"], home / "out"))
            peak = peak or peak_memory() / 1e6  # of the first prediction
            walls.append(wall)
            shares.append(100 * (1 - sum(w for w, _ in inside) / wall))
            cpu_shares.append(100 * (1 - sum(c for _, c in inside) / cpu))
            bares.append(timed(lambda: run_bare(network, batches))[0])
        return {
            "what": f"volume of {args.slices} x {SIDE} x {SIDE}, {args.base} at {args.size} px, {args.classes} classes",
            "wall": median(walls),
            "bare": median(bares),
            "share": median(shares),
            "cpu_share": median(cpu_shares),
            "peak": peak,
        }


def scene(args: argparse.Namespace) -> dict[str, Any]:
    """A large colour picture in windows of 512 pixels."""
    from PIL import Image

    import samtailor
    from samtailor.data.intensity import Range
    from samtailor.data.preprocessing import Preprocessing
    from samtailor.models.segmenter import Segmenter
    from samtailor.training.memory import peak_memory

    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder:
        home = Path(folder)
        made_segmenter(args, home, Preprocessing(Range(), args.size, 512, 3))
        pixels = np.random.default_rng(0).integers(0, 255, (args.scene // 8, args.scene // 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((args.scene, args.scene)).save(home / "scene.png")
        del pixels
        inside = time_in(Segmenter, "forward")
        wall, cpu = timed(lambda: samtailor.predict(home / "segmenter", [home / "scene.png"], home / "out"))
        return {
            "what": f"picture of {args.scene} x {args.scene}, {args.base} at {args.size} px, {args.classes} classes",
            "wall": wall,
            "share": 100 * (1 - sum(w for w, _ in inside) / wall),
            "cpu_share": 100 * (1 - sum(c for _, c in inside) / cpu),
            "peak": peak_memory() / 1e6,
        }


def peer(args: argparse.Namespace) -> dict[str, Any]:
    """What one writes with transformers' SamModel: slice by slice, one box per class, the best class of each pixel."""
    import nibabel as nib
    import torch
    import torch.nn.functional as F
    from transformers import SamModel

    from samtailor.models.sam import VitSize, sam_config
    from samtailor.training.memory import peak_memory

    sizes = {"sam-vit-b": (768, 12, 12, (2, 5, 8, 11)), "sam-vit-l": (1024, 24, 16, (5, 11, 17, 23))}
    if args.base not in sizes:
        raise SystemExit(f"--peer: expected --base {' or '.join(sizes)}, found {args.base}")
    model = SamModel(sam_config(VitSize(*sizes[args.base], image_size=args.size))).eval()
    boxes = torch.tensor([0.0, 0.0, args.size, args.size]).expand(1, args.classes, 4)

    def loop(source: Path, target: Path) -> None:
        file = nib.load(source)
        values = torch.from_numpy(np.clip((file.get_fdata(dtype=np.float32) + 160) / 400, 0, 1))
        label = np.zeros(values.shape, np.uint8)
        for index in range(values.shape[2]):
            plane = values[None, None, :, :, index]
            image = F.interpolate(plane, (args.size, args.size), mode="bilinear", antialias=True).expand(1, 3, -1, -1)
            masks = model(image, input_boxes=boxes, multimask_output=False).pred_masks[:, :, 0]
            large = F.interpolate(masks, (SIDE, SIDE), mode="bilinear")
            label[:, :, index] = large[0].argmax(dim=0).numpy()
        nib.save(nib.Nifti1Image(label, file.affine), target)

    with tempfile.TemporaryDirectory(prefix="samtailor-bench-") as folder, torch.inference_mode():
        source = Path(folder) / "volume.nii.gz"
        write_volume(source, args.slices)
        walls = [timed(lambda: loop(source, Path(folder) / "label.nii.gz"))[0] for _ in range(args.repeats)]
    what = f"the same with a loop over transformers' SamModel ({args.base}, a box per class)"
    return {"what": what, "wall": median(walls), "peak": peak_memory() / 1e6}


WORK: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"volume": volume, "scene": scene, "peer": peer}


def made_segmenter(args: argparse.Namespace, home: Path, preprocessing: Any) -> None:
    """An untrained LoRA segmenter of the base with random weights, and the base in the zoo."""
    import torch

    from samtailor.data.labels import LabelSpace
    from samtailor.models.segmenter import Segmenter
    from samtailor.models.zoo import BASES, find_base
    from samtailor.recipes.config import LoRA

    base = find_base(args.base)
    torch.manual_seed(0)
    torch.save(base.build().state_dict(), home / "base.pth")
    BASES[args.base] = replace(base, weights=lambda: home / "base.pth", convert=dict)
    labels = LabelSpace.from_names(tuple(f"class {i}" for i in range(args.classes)))
    Segmenter.create(args.base, LoRA(), labels, preprocessing).save(home / "segmenter")


def write_volume(path: Path, slices: int) -> None:
    """Noise in HU with the grain of a CT, written slice by slice."""
    import nibabel as nib

    rng = np.random.default_rng(0)
    values = np.empty((SIDE, SIDE, slices), np.int16, order="F")
    for index in range(slices):
        values[..., index] = rng.normal(0, 60, (SIDE, SIDE))
    nib.save(nib.Nifti1Image(values, np.diag([*SPACING, 1])), path)


def run_bare(network: Any, batches: list[Any]) -> None:
    """The network on inputs that are ready."""
    import torch

    with torch.inference_mode():
        for images in batches:
            network(images)


def time_in(owner: Any, method: str) -> list[tuple[float, float]]:
    """Wall and processor seconds of every later call of a method."""
    seconds: list[tuple[float, float]] = []
    call = getattr(owner, method)

    def measured_call(*args: Any, **kwargs: Any) -> Any:
        start, cpu = time.perf_counter(), time.process_time()
        result = call(*args, **kwargs)
        seconds.append((time.perf_counter() - start, time.process_time() - cpu))
        return result

    setattr(owner, method, measured_call)
    return seconds


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


if __name__ == "__main__":
    main()
