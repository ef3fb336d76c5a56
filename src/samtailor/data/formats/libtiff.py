"""TIFF's compressions that tifffile lacks, unpacked by the libtiff that Pillow brings.

Pillow has no mode for most kinds of samples (several of 16 bits, float colours, four bands). But a compression knows
bytes only: the strips or tiles are put into a new TIFF which says that they are gray pictures of a byte per pixel.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

_LONG8 = 16  # TIFF's type of 64-bit integers


def unpacked(page: Any) -> NDArray[Any]:
    """Samples of a page of tifffile, shape (planes, H, W, samples of a plane)."""
    segments = []
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        segments.append(page.parent.filehandle.read(size))
    planes, _, _, width, samples = page.shaped
    per_plane = len(segments) // planes
    array = np.stack([_plane(page, segments[i * per_plane :][:per_plane]) for i in range(planes)])
    return array[:, : page.imagelength, :width].reshape(planes, page.imagelength, width, samples)


def _plane(page: Any, segments: Sequence[bytes]) -> NDArray[Any]:
    """Samples (H, W, samples) of one plane, with the rest of tiles that reach beyond the picture."""
    samples, bits = page.shaped[4], page.bitspersample
    width = page.tilewidth if page.is_tiled else page.imagewidth
    across = -(-page.imagewidth // width)
    row = -(-width * samples * bits // 8)  # bytes of a row of a strip or tile
    if page.is_tiled:
        length, down = page.tilelength, -(-page.imagelength // page.tilelength)
    else:
        length, down = page.imagelength, 1
    file = _file_of(segments, page, (length * down, row * across), (length, row) if page.is_tiled else None)
    with TiffImageFile(file) as image:
        stored = np.asarray(image).reshape(length * down, across, row)
    array = _unpredicted(stored, page, samples)
    return array.reshape(len(array), across * width, samples)


def _unpredicted(stored: NDArray[np.uint8], page: Any, samples: int) -> NDArray[Any]:
    """Samples (rows, segments across, columns * samples) of bytes, which may be differences of neighbours."""
    order, dtype = page.parent.byteorder, np.dtype(page.dtype)
    if page.bitspersample < 8:
        count = 8 // page.bitspersample
        shifts = np.arange(count, dtype=np.uint8)[::-1] * page.bitspersample
        levels: NDArray[np.uint8] = (stored[..., None] >> shifts) & np.uint8(2**page.bitspersample - 1)
        width = page.tilewidth if page.is_tiled else page.imagewidth
        return levels.reshape(*stored.shape[:2], -1)[..., :width]
    if page.predictor == 3:  # differences of bytes; all highest bytes of a row come first, all lowest last
        shape = stored.shape[:2]
        added = np.cumsum(stored.reshape(*shape, -1, samples), axis=-2, dtype=np.uint8)
        planes = added.reshape(*shape, dtype.itemsize, -1)
        floats: NDArray[Any] = np.ascontiguousarray(planes.swapaxes(-1, -2)).view(dtype.newbyteorder(">"))
        return floats[..., 0]
    values: NDArray[Any] = np.ascontiguousarray(stored).view(dtype.newbyteorder(order))
    if page.predictor == 2:  # differences of samples, also of floats as if they were integers
        whole = values.view(f"{order}u{dtype.itemsize}").reshape(*values.shape[:2], -1, samples)
        added = np.cumsum(whole, axis=-2, dtype=f"u{dtype.itemsize}")
        values = added.reshape(values.shape).view(dtype.newbyteorder("="))
    return values


def _file_of(segments: Sequence[bytes], page: Any, size: tuple[int, int], tile: tuple[int, int] | None) -> io.BytesIO:
    """A TIFF (the kind with 64-bit offsets) of one gray picture of bytes, (H, W), with these strips or tiles."""
    file = io.BytesIO()
    file.write(bytes(16))
    offsets = []
    for segment in segments:
        offsets.append(file.tell())
        file.write(segment)
    counts = [len(segment) for segment in segments]
    tags: dict[int, Sequence[int]] = {
        256: [size[1]],
        257: [size[0]],
        258: [8],
        259: [int(page.compression)],
        262: [1],
        266: [int(page.fillorder)],
        277: [1],
    }
    if tile:
        tags |= {322: [tile[1]], 323: [tile[0]], 324: offsets, 325: counts}
    else:
        tags |= {273: offsets, 278: [min(page.rowsperstrip, size[0])], 279: counts}
    entries = b""
    for tag, values in sorted(tags.items()):
        value = values[0] if len(values) == 1 else file.tell()
        if len(values) > 1:
            file.write(struct.pack(f"<{len(values)}Q", *values))
        entries += struct.pack("<HHQQ", tag, _LONG8, len(values), value)
    directory = file.tell()
    file.write(struct.pack("<Q", len(tags)) + entries + bytes(8))
    file.seek(0)
    file.write(b"II+\0" + struct.pack("<HHQ", 8, 0, directory))
    file.seek(0)
    return file
