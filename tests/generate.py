"""Small labelled folders for tests: volumes with two organs, colour pictures with two kinds of things."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samtailor.labels import LabelSpace

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))
PICTURE_CLASSES = ("background", "field", "water")
PICTURE_PALETTE = ((0, 0, 0), (0, 255, 0), (0, 0, 255))


def affine(spacing: tuple[float, float, float] = (2.0, 2.0, 5.0), codes: str = "LAS") -> NDArray[np.float64]:
    """Affine of a file whose axes point to `codes`, e.g. 'LAS', with an origin that is not zero."""
    directions = dict(zip("RLAPSI", np.repeat(np.eye(3), 2, axis=0) * np.tile([[1], [-1]], (3, 1)), strict=True))
    matrix = np.eye(4)
    for axis, code in enumerate(codes):
        matrix[:3, axis] = directions[code] * spacing[axis]
    matrix[:3, 3] = (11.0, -22.0, 33.0)
    return matrix


def volume(shape: tuple[int, int, int], seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """HU and ids of a volume with a bright box (1) and a brighter one (2), both in the axes of the file."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, dtype=np.uint8)
    for identifier, start in ((1, 1), (2, 4)):
        low = [round(n * (start + rng.uniform(-0.5, 0.5)) / 8) for n in shape]
        ids[tuple(slice(a, a + max(1, n // 4)) for a, n in zip(low, shape, strict=True))] = identifier
    hu = np.array([-50, 90, 180])[ids] + rng.normal(0, 15, shape)
    return hu.astype(np.int16), ids


def write_volume(path: Path, array: NDArray[np.generic], matrix: NDArray[np.float64] | None = None) -> None:
    """NIfTI file of an array in the axes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine() if matrix is None else matrix), path)


def write_json(path: Path, content: object) -> None:
    """JSON file, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def nnunet_folder(
    root: Path,
    cases: int = 6,
    shape: tuple[int, int, int] = (32, 24, 6),
    seed: int = 0,
    channels: Sequence[str] = ("CT",),
) -> Path:
    """nnU-Net folder of cases `case_0`, `case_1`, ...; the last is test, the one before val.

    The first channel is a CT; the others show the same in numbers a hundred, ten thousand, ... times as large.
    """
    names = [f"case_{index}" for index in range(cases)]
    for index, name in enumerate(names):
        part = "Ts" if index == cases - 1 else "Tr"
        hu, ids = volume(shape, seed + index)
        for number in range(len(channels)):
            write_volume(root / f"images{part}" / f"{name}_{number:04d}.nii.gz", hu * 100.0**number if number else hu)
        write_volume(root / f"labels{part}" / f"{name}.nii.gz", ids)
    labels = dict(zip(LABELS.names, LABELS.ids, strict=True))
    content = {
        "channel_names": {str(number): channel for number, channel in enumerate(channels)},
        "labels": labels,
        "numTraining": cases - 1,
        "file_ending": ".nii.gz",
    }
    write_json(root / "dataset.json", content)
    write_json(root / "splits_final.json", [{"train": names[:-2], "val": names[-2:-1]}])
    return root


def picture(size: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB pixels (H, W, 3) and ids (H, W) of a picture with a green box (1) and a blue one (2)."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(size, dtype=np.uint8)
    for identifier, start in ((1, 1), (2, 4)):
        low = [round(n * (start + rng.uniform(-0.5, 0.5)) / 8) for n in size]
        ids[tuple(slice(a, a + n // 4) for a, n in zip(low, size, strict=True))] = identifier
    colours = np.array([[120, 110, 100], [60, 180, 60], [40, 60, 190]])[ids]
    return np.clip(colours + rng.normal(0, 12, (*size, 3)), 0, 255).astype(np.uint8), ids


def image_folder(root: Path, cases: int = 10, size: tuple[int, int] = (40, 48), seed: int = 0) -> Path:
    """Image folder of RGB pictures `tile_0`, `tile_1`, ... with masks of ids, a palette, and no splits."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(cases):
        pixels, ids = picture(size, seed + index)
        Image.fromarray(pixels).save(root / "images" / f"tile_{index}.png")
        Image.fromarray(ids).save(root / "masks" / f"tile_{index}.png")
    write_json(root / "dataset.json", {"classes": PICTURE_CLASSES, "palette": PICTURE_PALETTE})
    return root
