"""A synthetic abdominal CT of several patients, so that everything can be tried without any download.

Every patient has the 13 organs of FLARE22 (`anatomy`), moved, resized and bent differently, in a trunk with
fat, muscles, bones, lungs and bowel, on a table, with noise and partial volumes (`phantom_patient`). Nothing
in it comes from a real patient.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.phantom_patient import FIELD, make_patient
from samtailor.errors import ConfigError, FileError
from samtailor.files import atomic, write_json
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import FLARE22_CLASSES

DESCRIPTION = "Synthetic phantom: abdominal CT made by samtailor, no real patient"


def make_phantom(root: Path, patients: int = 10, shape: tuple[int, int, int] = (24, 128, 128), seed: int = 0) -> Path:
    """Write a phantom data set in the nnU-Net layout.

    A fifth of the patients, at least two, lie in imagesTs and labelsTs as unseen test patients;
    splits_final.json names a tenth, at least one, as val, and the others as train.

    Args:
        root: Folder to make; a phantom that is there already is overwritten.
        patients: Number of patients, at least 4.
        shape: Slices, rows, columns of each; they share a field of 192 x 384 x 384 mm.
        seed: Patient i of a seed is the same in every phantom of this shape.

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
        _write_patient(root, name, "Ts" if name in test else "Tr", make_patient(shape, (seed, index)))
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
    if path.exists() and DESCRIPTION not in path.read_text(encoding="utf-8"):
        raise FileError(root, "a new folder or an older phantom", "another data set", "choose another folder")
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        for file in (root / part).glob("phantom_*.nii.gz"):
            file.unlink()
