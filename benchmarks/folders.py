"""Work on whole folders without a network: `check` and `score`, beside plain loops over the same files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.line import Place, Prepared, Side
from samtailor.data.check_dataset import check_dataset
from samtailor.evaluation.score import score as score_masks

SPACING = (0.8, 0.8, 2.5)
ORGANS = 13
_DIFFERENT = 4
"""Volumes that are made; the others are copies."""

SCORE_PEER = (
    "surface-distance, one case after another"
    if find_spec("surface_distance")
    else "ours, one case after another (surface-distance is not installed)"
)


def check(cases: int, shape: tuple[int, int, int]) -> Callable[[Side, Place], Prepared]:
    """`samtailor check` of an nnU-Net folder; the peer reads every file once and counts its ids, checking nothing."""

    def prepare(side: Side, place: Place) -> Prepared:
        count, size = (4, (24, 24, 8)) if place.small else (cases, shape)
        root = place.folder / "data"
        for index in range(count):
            copied(root / "imagesTr", "case_{}_0000.nii.gz", index, lambda seed: image(size, seed))
            copied(root / "labelsTr", "case_{}.nii.gz", index, lambda seed: organs(size, seed))
        write_classes(root / "dataset.json", count)
        if side == "ours":
            return Prepared(lambda: check_dataset(root))
        return Prepared(lambda: read_all(root))

    return prepare


def read_all(root: Path) -> int:
    """Voxels of all organs, by reading every image and label with nibabel in turn."""
    voxels = 0
    for label in sorted((root / "labelsTr").iterdir()):
        np.asarray(nib.load(root / "imagesTr" / label.name.replace(".nii", "_0000.nii")).dataobj).max()
        ids = np.asarray(nib.load(label).dataobj)
        voxels += int(np.bincount(ids.ravel(), minlength=ORGANS + 1)[1:].sum())
    return voxels


def score(
    cases: int, shape: tuple[int, int, int], full_shape: tuple[int, int, int]
) -> Callable[[Side, Place], Prepared]:
    """`samtailor score` of saved masks: DSC, IoU, NSD at 2 mm and HD95 of 13 organs, tables and figures."""

    def prepare(side: Side, place: Place) -> Prepared:
        count, size = (2, (32, 32, 8)) if place.small else (cases, full_shape if place.full else shape)
        labels, masks = place.folder / "labels", place.folder / "masks"
        for index in range(count):
            copied(labels, "case_{}.nii.gz", index, lambda seed: organs(size, seed))
            copied(masks, "case_{}.nii.gz", index, lambda seed: np.roll(organs(size, seed), (2, 1, 1), (0, 1, 2)))
        classes = place.folder / "dataset.json"
        write_classes(classes, count)
        workers, out = None if side == "ours" else 1, place.folder / "scores"
        if side == "peer" and find_spec("surface_distance"):
            return Prepared(lambda: with_surface_distance(masks, labels))
        settings = {"classes": classes, "workers": workers, "overwrite": True}
        return Prepared(lambda: score_masks(masks, labels, "samtailor", out, **settings))

    return prepare


def with_surface_distance(masks: Path, labels: Path) -> list[tuple[float, float, float]]:
    """Dice, NSD and HD95 of every organ and case by DeepMind's package."""
    import surface_distance as peer

    scores = []
    for file in sorted(labels.iterdir()):
        truth, found = (np.asarray(nib.load(folder / file.name).dataobj) for folder in (labels, masks))
        for organ in range(1, ORGANS + 1):
            pair = truth == organ, found == organ
            if not pair[0].any() or not pair[1].any():
                continue
            distances = peer.compute_surface_distances(*pair, SPACING)
            dice = peer.compute_dice_coefficient(*pair)
            near = peer.compute_surface_dice_at_tolerance(distances, 2.0)
            scores.append((dice, near, peer.compute_robust_hausdorff(distances, 95)))
    return scores


def copied(folder: Path, name: str, index: int, make: Callable[[int], NDArray[np.generic]]) -> None:
    """A volume of a folder: made anew, or a copy of one of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name.format(f"{index:03}")
    if index < _DIFFERENT:
        nib.save(nib.Nifti1Image(make(index), np.diag([*SPACING, 1])), path)
    else:
        shutil.copyfile(folder / name.format(f"{index % _DIFFERENT:03}"), path)


def image(shape: tuple[int, int, int], seed: int) -> NDArray[np.int16]:
    """Noise in HU around the organs' numbers."""
    return (organs(shape, seed) * 20.0 + np.random.default_rng(seed).normal(0, 20, shape)).astype(np.int16)


def organs(shape: tuple[int, int, int], seed: int) -> NDArray[np.uint8]:
    """Ellipsoids of ids 1 to 13, from a tenth to a quarter of the sides in radius."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.uint8)
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    for organ in range(1, ORGANS + 1):
        centre, radius = rng.uniform(0.25, 0.75, 3), rng.uniform(0.1, 0.25)
        terms = [((x / n - c) / radius) ** 2 for x, n, c in zip(axes, shape, centre, strict=True)]
        ids[terms[0] + terms[1] + terms[2] < 1] = organ
    return ids


def write_classes(path: Path, cases: int) -> None:
    """nnU-Net's dataset.json."""
    labels = {"background": 0} | {f"organ {i}": i for i in range(1, ORGANS + 1)}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz"}
    path.write_text(json.dumps(content), encoding="utf-8")
