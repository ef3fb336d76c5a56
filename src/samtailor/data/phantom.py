"""A synthetic abdominal CT of several patients, so that everything can be tried without any download.

Every patient has the 13 organs of FLARE22 (`anatomy`), moved, resized and bent differently, in a trunk with
fat, muscles, bones, lungs and bowel, on a table, with noise and partial volumes. Nothing in it comes from a real
patient.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from samtailor.data.anatomy import ABOVE_DIAPHRAGM_AND_BEHIND, BELOW_DIAPHRAGM, ORGANS, Ellipsoid, Tissue, Tube
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.errors import ConfigError, FileError
from samtailor.files import atomic, read_text, write_json
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import FLARE22_CLASSES

DESCRIPTION = "Synthetic phantom: abdominal CT made by samtailor, no real patient"
FIELD = (192.0, 384.0, 384.0)
"""mm of slices, rows, columns, whatever the number of voxels."""

_AIR, _FOAM, _LUNG, _FAT, _MUSCLE, _TABLE, _BONE = -1000.0, -930.0, -830.0, -105.0, 55.0, 60.0, 320.0

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


def make_phantom(root: Path, patients: int = 10, shape: tuple[int, int, int] = (24, 128, 128)) -> Path:
    """Write a phantom data set in the nnU-Net layout.

    A fifth of the patients, at least two, lie in imagesTs and labelsTs as unseen test patients;
    splits_final.json names a tenth, at least one, as val, and the others as train.

    Args:
        root: Folder to make; a phantom that is there already is overwritten.
        patients: Number of patients, at least 4.
        shape: Slices, rows, columns of each; they share a field of 192 x 384 x 384 mm. Patient i is the same in every
            phantom of a shape.

    Returns:
        The folder.

    Raises:
        ConfigError: If there are too few patients.
        FileError: If the folder holds something else.
    """
    if patients < 4:
        raise ConfigError(f"phantom: expected at least 4 patients (1 train, 1 val, 2 test), found {patients}")
    _make_room(root)
    names = [f"phantom_{index:03d}" for index in range(patients)]
    test = names[-max(2, round(0.2 * patients)) :]
    training = names[: patients - len(test)]
    val = training[-max(1, round(0.1 * patients)) :]
    for index, name in enumerate(names):
        _write_patient(root, name, "Ts" if name in test else "Tr", make_patient(shape, (0, index)))
    content = {
        "name": "phantom",
        "description": DESCRIPTION,
        "channel_names": {"0": "CT"},
        "labels": {organ: index for index, organ in enumerate(FLARE22_CLASSES)},
        "numTraining": len(training),
        "file_ending": ".nii.gz",
    }
    write_json(root / "splits_final.json", [{"train": training[: -len(val)], "val": val}])
    write_json(root / "dataset.json", content)
    return root


def _write_patient(root: Path, name: str, part: str, patient: tuple[NDArray[np.int16], NDArray[np.int16]]) -> None:
    """Image and label files with axes to the left, the front and the head, as converters of DICOM do."""
    hu, ids = patient
    slices, rows, columns = (field / n for field, n in zip(FIELD, hu.shape, strict=True))
    affine = np.diag([-columns, rows, slices, 1.0])
    file_shape = hu.shape[::-1]
    affine[:3, 3] = -affine[:3, :3] @ (np.array(file_shape) - 1) / 2
    geometry = VolumeGeometry.new(affine, file_shape)
    with atomic(root / f"images{part}" / f"{name}_0000.nii.gz") as temporary:
        array = apply_orientation(hu, geometry.from_canonical)
        nib.save(nib.Nifti1Image(array, affine, geometry.header), temporary)
    geometry.write_label(root / f"labels{part}" / f"{name}.nii.gz", ids, LabelSpace.from_names(FLARE22_CLASSES))


def _make_room(root: Path) -> None:
    """Remove an older phantom's volumes, and nobody else's."""
    path = root / "dataset.json"
    if path.exists() and DESCRIPTION not in read_text(path, "a dataset.json", "choose another folder"):
        raise FileError(root, "a new folder or an older phantom", "another data set", "choose another folder")
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        for file in (root / part).glob("phantom_*.nii.gz"):
            file.unlink()


def make_patient(shape: tuple[int, int, int], seed: tuple[int, ...]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """One patient: HU and organ ids, both in canonical axes, shape (S, H, W)."""
    rng = np.random.default_rng(seed)
    body = _bent_coordinates(shape, rng)
    hu = _empty_table(shape)
    ids = np.zeros(shape, dtype=np.int16)
    radius = _trunk_radius(body)
    wall = rng.uniform(0.8, 0.88)  # where the fat under the skin ends
    cavity = radius < wall - 0.07
    _paint_trunk(hu, body, radius, wall)
    for tissue in (*_bowel_loops(rng), *BELOW_DIAPHRAGM):
        _paint(hu, ids, body, tissue, rng, cavity)
    lungs = cavity & (body[2] > _diaphragm(body, radius / wall, rng))
    hu[lungs], ids[lungs] = _LUNG, 0
    for tissue in ABOVE_DIAPHRAGM_AND_BEHIND:
        _paint(hu, ids, body, tissue, rng, radius < wall)
    _paint_spine(hu, ids, body)
    return _scanned(hu, rng), ids


def _scanner_coordinates(shape: tuple[int, int, int]) -> list[Volume]:
    """Coordinates z, y, x in mm from the middle of the field, of shapes that broadcast to (S, H, W)."""
    axes = [(np.arange(n) - (n - 1) / 2) * (field / n) for n, field in zip(shape, FIELD, strict=True)]
    return [axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij", sparse=True)]


def _empty_table(shape: tuple[int, int, int]) -> Volume:
    """HU of a scanner with nobody in it, shape (S, H, W)."""
    z, y, x = _scanner_coordinates(shape)
    depth = y - (128 - x**2 / 1500) + 0 * z
    hu = np.full(shape, _AIR, dtype=np.float32)
    hu[(depth > 0) & (depth < 24)] = _FOAM
    hu[(depth > 0) & (depth < 6)] = _TABLE
    return hu


def _bent_coordinates(shape: tuple[int, int, int], rng: np.random.Generator) -> Volume:
    """Body coordinates x, y, z in mm, shape (3, S, H, W), resized and bent by a few long waves."""
    z, y, x = _scanner_coordinates(shape)
    size = rng.uniform(0.92, 1.06, size=3).astype(np.float32)
    body: Volume = (np.stack(np.broadcast_arrays(x, y, z)) / size[:, None, None, None]).astype(np.float32)
    for axis in range(3):
        for _ in range(3):
            wave = rng.normal(size=3).astype(np.float32)
            wave *= np.float32(2 * np.pi / rng.uniform(130, 300) / np.linalg.norm(wave))
            phase = wave[0] * x + wave[1] * y + wave[2] * z + np.float32(rng.uniform(0, 2 * np.pi))
            body[axis] += np.float32(rng.normal(0, 2.5)) * np.sin(phase)
    return body


def _trunk_radius(body: Volume) -> Volume:
    """1 on the skin, 0 on the axis of the trunk, shape (S, H, W)."""
    return ((np.abs(body[0]) / 168) ** 2.4 + (np.abs(body[1]) / 114) ** 2.4) ** np.float32(1 / 2.4)  # type: ignore[no-any-return]


def _paint_trunk(hu: Volume, body: Volume, radius: Volume, wall: float) -> None:
    """Skin, fat, muscles of the wall and ribs."""
    x, y, z = body
    hu[radius < 1] = -20  # skin
    hu[radius < 0.98] = _FAT
    hu[radius < wall] = _MUSCLE
    hu[radius < wall - 0.07] = _FAT
    to_the_front = np.arctan2(np.abs(x), y)  # ribs slope down to the front
    ribs = (np.abs(radius - wall + 0.035) < 0.03) & (np.sin(z / 4.6 + 5 * to_the_front) > 0.45)
    hu[ribs & (z > -60 + 25 * to_the_front) & (to_the_front < 2.6)] = _BONE


def _paint_spine(hu: Volume, ids: NDArray[np.int16], body: Volume) -> None:
    """Vertebrae with discs, canal and processes."""
    x, y, z = body
    vertebra = (x / 23) ** 2 + ((y - 50) / 18) ** 2
    disc = np.sin(z * np.float32(2 * np.pi / 34)) > 0.75
    canal = (x / 10) ** 2 + ((y - 76) / 8) ** 2
    process = (np.abs(x) < 5) & (y > 82) & (y < 106) & ~disc
    arch = (canal < 2.6) | ((np.abs(y - 72) < 6) & (np.abs(x) < 40) & ~disc)
    for mask, value in ((arch | process, _BONE), (vertebra < 1, 420), (vertebra < 0.75, 190), (canal < 1, 25)):
        hu[mask], ids[mask] = value, 0
    hu[(vertebra < 1) & disc] = 85


def _diaphragm(body: Volume, radius: Volume, rng: np.random.Generator) -> Volume:
    """Height z in mm of the diaphragm: two domes, the right one higher, deep at the back and the sides."""
    x, y, _ = body
    dome = 84 - 60 * radius**4 - 0.12 * x - 14 * np.exp(-((x / 30) ** 2)) - 0.25 * np.maximum(y, 0)
    return dome + np.float32(rng.normal(0, 5))  # type: ignore[no-any-return]


def _bowel_loops(rng: np.random.Generator) -> list[Tissue]:
    """Small bowel at random places in front of and below the organs, some of it with gas."""
    loops = []
    for _ in range(14):
        start = rng.uniform((-80, -80, -110), (85, -10, -55))
        end = start + rng.normal(0, 25, size=3)
        tube = tuple((x, y, z, float(rng.uniform(11, 15))) for x, y, z in (start.tolist(), end.tolist()))
        loops.append(Tissue("small bowel", float(rng.uniform(15, 85)), (tube,)))
        if rng.random() < 0.25:
            gas = Ellipsoid((start[0], start[1] - 3, start[2]), (8, 5, 8))
            loops.append(Tissue("gas", -700, (gas,), shift=0))
    return loops


def _paint(
    hu: Volume, ids: NDArray[np.int16], body: Volume, tissue: Tissue, rng: np.random.Generator, where: Mask
) -> None:
    """Paint one tissue, moved, resized and with an intensity of this patient's own, over what is there."""
    first = tissue.shapes[0]
    pivot = np.array(first.centre if isinstance(first, Ellipsoid) else first[0][:3])
    size = 1 + np.clip(rng.normal(0, tissue.size), -0.15, 0.15)
    move = np.clip(rng.normal(0, tissue.shift, size=3), -2 * tissue.shift, 2 * tissue.shift)
    offset = (pivot - (pivot + move) / size).astype(np.float32)
    own = body / np.float32(size) + offset[:, None, None, None]
    mask = where & np.logical_or.reduce([_inside(own, shape) for shape in tissue.shapes])
    hu[mask] = tissue.hu + rng.normal(0, 0.05 * abs(tissue.hu) + 2)
    ids[mask] = ORGANS.index(tissue.name) + 1 if tissue.name in ORGANS else 0


def _inside(body: Volume, shape: Ellipsoid | Tube) -> Mask:
    """Voxels inside a shape, (S, H, W)."""
    if isinstance(shape, Ellipsoid):
        squares = [((body[i] - shape.centre[i]) / shape.radii[i]) ** 2 for i in range(3)]
        return sum(squares) < 1  # type: ignore[no-any-return]
    corners = np.array(shape, dtype=np.float32)
    return np.logical_or.reduce([_inside_cone(body, a, b) for a, b in pairwise(corners)])  # type: ignore[no-any-return]


def _inside_cone(body: Volume, start: NDArray[np.float32], end: NDArray[np.float32]) -> Mask:
    """Voxels whose distance from a segment is below the radius there, (S, H, W)."""
    along = end[:3] - start[:3]
    relative = [body[i] - start[i] for i in range(3)]
    place = np.clip(sum(relative[i] * along[i] for i in range(3)) / (along @ along), 0, 1)
    squared = sum((relative[i] - place * along[i]) ** 2 for i in range(3))
    return squared < (start[3] + place * (end[3] - start[3])) ** 2  # type: ignore[no-any-return]


def _scanned(hu: Volume, rng: np.random.Generator) -> NDArray[np.int16]:
    """What the scanner makes of it: partial volumes, a smooth unevenness, noise; whole HU from -1024 up."""
    blurred = gaussian_filter(hu, (0.3, 0.6, 0.6))
    texture = gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), (1, 3, 3))
    noise = gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), (0, 0.5, 0.5))
    noisy = blurred + 8 * texture / texture.std() + 14 * noise / noise.std() * (hu > _AIR + 100)
    return np.clip(np.rint(noisy), -1024, 3071).astype(np.int16)  # type: ignore[no-any-return]
