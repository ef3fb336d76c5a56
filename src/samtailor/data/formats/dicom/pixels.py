"""Pixels of a series, decoded and rescaled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options

from samtailor.data.formats.dicom.dicom_file import DicomFile, Frame
from samtailor.data.formats.dicom.series import Series
from samtailor.data.formats.format import reading, require_memory

_THREADS = 4
_LONG_HEAD = 12  # bytes before the value of an element: tag, VR, two empty, and a length of four (PS3.5, 7.1.2)
_SHORT_HEAD = 8  # without VR


def read_planes(series: Series) -> NDArray[Any]:
    """Intensities, shape (planes, rows, columns), in the order of the series."""
    rows, columns = series.planes[0].file.size
    shape, dtype = (len(series.planes), rows, columns), series.dtype
    require_memory(series.path, int(np.prod(shape)) * dtype.itemsize)
    volume = np.empty(shape, dtype)
    places: dict[DicomFile, dict[int, int]] = defaultdict(dict)
    for place, plane in enumerate(series.planes):
        places[plane.file][plane.number] = place

    def fill(file: DicomFile) -> None:
        numbers = range(1, len(places[file]) + 1)
        with reading(file.path, "DICOM file"), _without_panic():
            for number, stored in zip(numbers, _frames(file), strict=True):
                place = places[file][number]
                _rescale(stored, series.planes[place], volume[place])

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(fill, places):
            pass
    return volume


@contextmanager
def _without_panic() -> Iterator[None]:
    """What pylibjpeg-rle raises at damaged data, a panic of Rust, is no `Exception`: nobody would catch it."""
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise ValueError("damaged run lengths") from error


def _frames(file: DicomFile) -> Iterator[NDArray[Any]]:
    """Stored numbers of each frame of a file, shape (rows, columns)."""
    decoder = get_decoder(file.transfer_syntax)
    representation = "OB" if file.bits[0] == 8 else "OW"
    options = as_pixel_options(
        file.header, pixel_keyword="PixelData", pixel_vr=representation, allow_excess_frames=False, raw=True
    )
    if file.is_deflated:
        yield from (frame for frame, _ in decoder.iter_array(pydicom.dcmread(file.path).PixelData, **options))
        return
    with file.path.open("rb") as stream:
        stream.seek((file.pixels_at or 0) + (_SHORT_HEAD if file.transfer_syntax.is_implicit_VR else _LONG_HEAD))
        yield from (frame for frame, _ in decoder.iter_array(stream, **options))


def _rescale(stored: NDArray[Any], plane: Frame, out: NDArray[Any]) -> None:
    """Intensities of a slice: slope times stored number plus intercept (PS3.3, C.11.1.1.2), written to `out`."""
    if out.dtype.kind == "f":
        out[:] = stored * plane.slope + plane.intercept
    else:  # exact in the type of the volume, whatever overflows in between
        np.multiply(stored, np.array(int(plane.slope)), out=out, dtype=out.dtype, casting="unsafe")
        out += np.array(int(plane.intercept)).astype(out.dtype)
