"""A series and its results go to a real archive (Debian's Orthanc) and come back as they were, by DICOM alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_image
from tests.data.formats.dicom.programs import program
from tests.data.formats.dicom.series import LABELS, WRITERS, geometry_of, label

pytestmark = pytest.mark.pacs
TITLE = "ARCHIVE"


@dataclass(frozen=True)
class Archive:
    """A running PACS."""

    port: int

    def store(self, *paths: Path) -> None:
        """Send files and folders."""
        self._run("storescu", "+sd", "+r", "--required", files=paths)

    def series_of(self, study: str, out: Path) -> dict[str, str]:
        """Query the archive: the series of a study by their modalities; the answers are put into a new folder."""
        out.mkdir()
        wanted = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", "SeriesInstanceUID", "Modality")
        keys = [argument for key in wanted for argument in ("-k", key)]
        self._run("findscu", "-S", *keys, "-X", "-od", out)
        answers = [pydicom.dcmread(path, force=True) for path in out.iterdir()]
        return {answer.Modality: answer.SeriesInstanceUID for answer in answers}

    def fetch(self, series: str, out: Path) -> Path:
        """Get a series into a new folder."""
        out.mkdir()
        keys = ("-k", "QueryRetrieveLevel=SERIES", "-k", f"SeriesInstanceUID={series}")
        self._run("getscu", "-S", "-od", out, *keys)
        return out

    def is_listening(self) -> bool:
        """Whether it answers."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _run(self, name: str, *options: str | Path, files: Sequence[Path] = ()) -> None:
        line = (program(name, "Debian's dcmtk"), *options, "-aec", TITLE, "127.0.0.1", str(self.port), *files)
        subprocess.run(line, check=True, capture_output=True, timeout=60)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty archive that nobody else sees, gone with the test."""
    server = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if not server:
        pytest.skip("Orthanc is not installed (Debian's orthanc)")
    archive = Archive(free_port())
    settings = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "DicomPort": archive.port,
        "DicomAet": TITLE,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([server, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(200):
            if archive.is_listening() or process.poll() is not None:
                break
            time.sleep(0.1)
        assert process.poll() is None, (tmp_path / "orthanc.log").read_text()
        yield archive
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("kind", ["axial", "frames"])
def test_a_series_and_its_results_come_back_from_a_pacs(archive: Archive, tmp_path: Path, kind: str) -> None:
    image = WRITERS[kind](tmp_path / "local")
    geometry, before = geometry_of(image), read_image(image)
    results = {name: tmp_path / "results" / f"case.{name}.dcm" for name in ("seg", "rtstruct")}
    for path in results.values():
        geometry.write_label(path, label(), LABELS)
    archive.store(image.parent, tmp_path / "results")
    study = geometry.headers[0].StudyInstanceUID
    series = archive.series_of(study, tmp_path / "answers")
    assert series.keys() == {"CT", "SEG", "RTSTRUCT"}
    fetched = read_image(archive.fetch(series["CT"], tmp_path / "ct"))
    np.testing.assert_array_equal(fetched.image, before.image)
    assert fetched.geometry.difference(before.geometry) is None
    (segmentation,) = archive.fetch(series["SEG"], tmp_path / "seg").iterdir()
    case = read_case(CaseFiles("case", (tmp_path / "ct",), segmentation), LABELS)
    np.testing.assert_array_equal(case.label, label())
    (structures,) = archive.fetch(series["RTSTRUCT"], tmp_path / "rt").iterdir()
    assert pydicom.dcmread(structures) == pydicom.dcmread(results["rtstruct"])
