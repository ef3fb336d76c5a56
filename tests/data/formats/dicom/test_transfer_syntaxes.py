"""Compressed and otherwise encoded series are the volume that they were before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from samtailor.data.formats import read_header, read_image
from samtailor.errors import FileError
from tests.data.formats.dicom.files import INTERCEPT, write_series


@pytest.fixture
def volume() -> NDArray[np.int16]:
    """Intensities of twelve bits."""
    return np.random.default_rng(0).integers(INTERCEPT, 3000, (4, 40, 36)).astype(np.int16)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_lossless_compression_changes_nothing(
    tmp_path: Path, volume: NDArray[np.int16], syntax: UID, is_signed: bool
) -> None:
    def pack(header: FileDataset, index: int) -> None:
        if is_signed:
            header.PixelRepresentation, header.RescaleIntercept = 1, 0
            header.BitsStored, header.HighBit = 16, 15
            header.PixelData = volume[index].astype("<i2").tobytes()
        header.compress(syntax)

    write_series(tmp_path / "s", volume, change=pack)
    assert dcmread(tmp_path / "s" / "IM0001.dcm").file_meta.TransferSyntaxUID == syntax
    case = read_image(tmp_path / "s")
    np.testing.assert_array_equal(case.image[0], volume)
    assert case.image.dtype == np.int16


@pytest.mark.parametrize(
    ("program", "options", "syntax"),
    [("dcmcjpeg", ["+e1"], JPEGLosslessSV1), ("dcmcjpls", ["+el"], JPEGLSLossless)],
)
def test_what_dcmtk_compresses_is_read(
    tmp_path: Path, volume: NDArray[np.int16], program: str, options: list[str], syntax: UID
) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs {program} of dcmtk")
    series = write_series(tmp_path / "s", volume)
    for path in series.iterdir():
        subprocess.run([program, *options, str(path), str(path)], check=True, capture_output=True)
        assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_image(series).image[0], volume)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.name,
)
def test_other_encodings_are_read(tmp_path: Path, volume: NDArray[np.int16], syntax: UID) -> None:
    series = write_series(tmp_path / "s", volume)
    for path in series.iterdir():
        header = dcmread(path)
        header.file_meta.TransferSyntaxUID = syntax
        if not syntax.is_little_endian:
            header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
        encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
        dcmwrite(path, header, force_encoding=True, **encoding)
    np.testing.assert_array_equal(read_image(series).image[0], volume)


def test_what_nothing_decodes_is_refused_by_the_header(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    def declare(header: FileDataset, _: int) -> None:
        header.compress(RLELossless)
        header.file_meta.TransferSyntaxUID = MPEG2MPML

    write_series(tmp_path / "s", volume, change=declare)
    with pytest.raises(FileError, match=r"found MPEG2 Main Profile / Main Level; convert the files"):
        read_header(tmp_path / "s")


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, volume: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "s", volume, change=lambda header, _: header.compress(JPEG2000Lossless))
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
    with pytest.raises(FileError, match=r"JPEG 2000 .* which no installed package decodes; pip install 'samtailor\[di"):
        read_header(tmp_path / "s")


@pytest.mark.parametrize(
    ("syntax", "place", "noise"),
    [(JPEG2000Lossless, 0, 0), (RLELossless, 0, 3), (RLELossless, 0.5, 129)],
)
def test_a_damaged_stream_is_named(
    tmp_path: Path, volume: NDArray[np.int16], syntax: UID, place: float, noise: int
) -> None:
    """Also by a panic of the decoder in Rust, which is no usual exception."""

    def spoil(header: FileDataset, index: int) -> None:
        header.compress(syntax)
        if index == 1:
            start = 16 + int(place * len(header.PixelData))
            header.PixelData = header.PixelData[:start] + bytes([noise]) * (len(header.PixelData) - start)

    write_series(tmp_path / "s", volume, change=spoil)
    with pytest.raises(FileError, match=r"IM0003\.dcm: expected a readable DICOM file"):
        read_image(tmp_path / "s")
