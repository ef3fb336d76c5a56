"""Series of DICOM slices go through every verb, in nnU-Net's layout and as a PACS exports them; no patient is named."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import samtailor
from samtailor.cli import main
from samtailor.data.formats import read_geometry
from samtailor.errors import DataWarning
from samtailor.inference.inputs import plan
from samtailor.models.zoo import Base
from tests import generate
from tests.data.formats.dicom.files import write_enhanced, write_series

SHAPE = (32, 24, 6)  # columns, rows, planes
CODES = "LPS"
DICOMDIR = bytes(128) + b"DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x00"


def volumes(case: int) -> tuple[np.ndarray, np.ndarray]:
    """Intensities and ids as planes, rows, columns."""
    hu, ids = generate.volume(SHAPE, case)
    return hu.transpose(2, 1, 0), ids


def nnunet_of_series(root: Path, channels: int = 1) -> Path:
    """nnU-Net folder whose images are series; labels are NIfTI files with other axes; the last case is test."""
    matrix = generate.affine((2.0, 2.0, 5.0), CODES)
    for case in range(6):
        part = "Ts" if case == 5 else "Tr"
        hu, ids = volumes(case)
        for channel in range(channels):
            folder = root / f"images{part}" / f"case_{case}_{channel:04d}"
            if case == 4:
                write_enhanced(folder / "1.dcm", hu + 10 * channel, matrix)
            else:
                write_series(folder, hu + 10 * channel, matrix, name="IM{}")
        label = nib.Nifti1Image(ids, matrix)
        turned = label.as_reoriented(nib.orientations.axcodes2ornt("RAS", (("R", "L"), ("P", "A"), ("I", "S"))))
        (root / f"labels{part}").mkdir(exist_ok=True)
        nib.save(turned, root / f"labels{part}" / f"case_{case}.nii.gz")
    names = {str(channel): "CT" for channel in range(channels)}
    labels = {name: index for index, name in enumerate(generate.LABELS.names)}
    content = {"channel_names": names, "labels": labels, "numTraining": 5, "file_ending": ".nii.gz"}
    generate.write_json(root / "dataset.json", content)
    splits = [{"train": [f"case_{case}" for case in range(4)], "val": ["case_4"]}]
    generate.write_json(root / "splits_final.json", splits)
    return root


def named_somewhere(root: Path) -> list[str]:
    """Files below a folder that name a patient, in their content or in their own names."""
    found = []
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if re.search(rb"Doe|Jane|MRN-4711", path.read_bytes()) or re.search("Doe|Jane|4711", path.name):
                found.append(str(path))
    return found


def test_series_go_through_every_verb(
    tiny_base: Base,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, run, out = nnunet_of_series(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    assert samtailor.check(data).findings == ()
    tiny = ("--base", tiny_base.name, "--sampling.image_size", "32", "--epochs", "1", "--recipe", "lora")
    assert main(["train", str(data), "--out", str(run), *tiny]) == 0
    assert main(["evaluate", str(run), str(data), "--bootstrap", "20"]) == 0
    images = data / "imagesTs"
    extra = ("--overlays", "--format", "nifti")
    assert main(["predict", str(run), str(images), "--out", str(out), *extra]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["case_5.nii.gz", "overlays"]
    grid = read_geometry(images / "case_5_0000")
    assert grid.difference(read_geometry(out / "case_5.nii.gz")) is None
    assert main(["score", str(out), str(data), "--split", "test", "--bootstrap", "20", "--out", f"{out}/scores"]) == 0
    files = (run / "evaluation" / "test" / "metrics.json", out / "scores" / "metrics.json")
    evaluated, scored = (json.loads(file.read_text())["cases"] for file in files)
    assert evaluated == scored
    samtailor.load(run).predict(images / "case_5_0000" / "IM3").save(tmp_path / "single.nii.gz")
    voxels = [np.asarray(nib.load(file).dataobj) for file in (tmp_path / "single.nii.gz", out / "case_5.nii.gz")]
    np.testing.assert_array_equal(*voxels)
    said = capsys.readouterr()
    assert not re.search("Doe|Jane|4711", said.out + said.err)
    assert [path for path in named_somewhere(tmp_path) if not path.startswith(str(data))] == []


def test_an_export_of_patients_is_a_glob_pattern(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        for series in ("ct", "late"):
            folder = write_series(tmp_path / "export" / patient / "study" / f"{patient}_{series}", volumes(0)[0])
    (tmp_path / "export" / "DICOMDIR").write_bytes(DICOMDIR)
    (folder / "notes.pdf").write_bytes(b"")
    expected = [f"{patient}_{series}" for patient in ("p1", "p2") for series in ("ct", "late")]
    for pattern in ("export/**", "export/**/*_*", "export/*/*/*/*.dcm", "export/*/study"):
        with pytest.warns(DataWarning, match=r"p2_late: 1 others, which are passed over: notes\.pdf"):
            jobs = plan([tmp_path / pattern], tmp_path / "out")
        assert [job.files.name for job in jobs] == expected
        assert all(job.file.is_dir() for job in jobs)


def test_channels_are_series_and_a_missing_one_is_named(tmp_path: Path) -> None:
    data = nnunet_of_series(tmp_path / "data", channels=2)
    assert samtailor.check(data).findings == ()
    (data / "labelsTr" / "case_2.nii.gz").unlink()
    series = data / "imagesTr" / "case_2_0000"
    label = np.ones((6, 24, 32), np.int16)
    read_geometry(series).write_label(data / "labelsTr" / "case_2.seg.dcm", label, generate.LABELS)
    assert samtailor.check(data).findings == ()
    (data / "imagesTr" / "case_1_0000" / "notes.odt").write_text("?")
    shutil.rmtree(data / "imagesTr" / "case_0_0001")
    found = [(finding.severity, Path(finding.file).name, finding.found) for finding in samtailor.check(data).findings]
    assert found == [
        ("error", "case_0_0001", "nothing"),
        ("warning", "case_1_0000", "1 others, which are passed over: notes.odt"),
    ]
