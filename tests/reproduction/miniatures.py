"""Miniatures of the report's data sets, a schedule of seconds for them, and a base as small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from samtailor.data.named import NAMED
from tests.generate import affine, write_json, write_volume

SCHEDULE = {
    "train": {
        "epochs": 1,
        "batch_size": 4,
        "validate_every": 1,
        "sampling": {"image_size": 32, "field": None, "per_epoch": 4},
    },
    # A network with random weights is sure of nothing.
    "baseline": {"points_per_side": 2, "pred_iou_thresh": -1000.0, "stability_score_thresh": 0.0},
}


def schedule(path: Path) -> Path:
    """File for --settings."""
    path.write_text(yaml.safe_dump(SCHEDULE))
    return path


def gid5(root: Path, cases: int = 6, side: int = 32) -> Path:
    """Image folder with the classes of GID-5, each tile four of them, split 3 / 1 / the rest."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    colours = np.array([[20, 20, 20], [200, 60, 60], [60, 200, 60], [40, 120, 60], [200, 200, 90], [40, 60, 200]])
    names = [f"tile_{index}" for index in range(cases)]
    for index, name in enumerate(names):
        ids = np.zeros((side, side), np.uint8)
        half = side // 2
        for quarter, (y, x) in enumerate(((0, 0), (0, half), (half, 0), (half, half))):
            ids[y : y + half, x : x + half] = (index + quarter) % 6
        pixels = np.clip(colours[ids] + rng.normal(0, 8, (side, side, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        Image.fromarray(ids).save(root / "masks" / f"{name}.png")
    splits = {"train": names[:3], "val": names[3:4], "test": names[4:]}
    write_json(root / "dataset.json", {"name": "GID-5", "classes": NAMED["gid5"].labels.names, "splits": splits})
    return root


def sirst(root: Path, cases: int = 6, side: int = 48) -> Path:
    """Image folder with the classes of SIRST: gray pictures with one bright target of 3 x 3 pixels."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"frame_{index}" for index in range(cases)]
    for name in names:
        ids = np.zeros((side, side), np.uint8)
        y, x = rng.integers(4, side - 8, 2)
        ids[y : y + 3, x : x + 3] = 1
        pixels = np.clip(60 + 160 * ids + rng.normal(0, 8, ids.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        Image.fromarray(ids).save(root / "masks" / f"{name}.png")
    splits = {"train": names[:3], "val": names[3:4], "test": names[4:]}
    write_json(root / "dataset.json", {"name": "SIRST", "classes": NAMED["sirst"].labels.names, "splits": splits})
    return root


def btcv(root: Path, cases: int = 4) -> Path:
    """nnU-Net folder with the classes of BTCV: volumes of 5 slices with all organs as boxes, the last case is val."""
    names = NAMED["btcv"].labels.names
    rng = np.random.default_rng(0)
    for index in range(cases):
        ids = np.zeros((32, 32, 5), np.uint8)
        for organ in range(1, len(names)):
            row, column = divmod(organ - 1, 4)
            ids[8 * row + 1 : 8 * row + 6, 8 * column + 1 : 8 * column + 6, 1:4] = organ
        image = np.clip(15 * ids.astype(float) + rng.normal(0, 5, ids.shape), 0, 255).astype(np.int16)
        write_volume(root / "imagesTr" / f"btcv_{index}_0000.nii.gz", image, affine())
        write_volume(root / "labelsTr" / f"btcv_{index}.nii.gz", ids, affine())
    labels = {name: identifier for identifier, name in enumerate(names)}
    content = {"name": "BTCV", "channel_names": {"0": "rescaled CT"}, "labels": labels, "file_ending": ".nii.gz"}
    write_json(root / "dataset.json", content | {"numTraining": cases})
    cases_names = [f"btcv_{index}" for index in range(cases)]
    write_json(root / "splits_final.json", [{"train": cases_names[:-1], "val": cases_names[-1:]}])
    return root
