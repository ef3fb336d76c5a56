"""TIFF files that the libraries at hand cannot write: any samples under LZW, in strips or tiles, with differences."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image


def write_lzw(
    path: Path, array: NDArray[Any], tile: int | None = None, planar: bool = False, predictor: int = 1, order: str = "<"
) -> None:
    """Write (H, W, C) with a tile's side or as one strip, planes apart or together, differences (2, 3) or none (1)."""
    height, width, samples = array.shape
    tags: dict[int, list[int]] = {
        256: [width],
        257: [height],
        258: [8 * array.itemsize] * samples,
        259: [5],
        262: [1],
        277: [samples],
        284: [2 if planar else 1],
        317: [predictor],
        338: [0] * (samples - 1),
        339: [{"u": 1, "i": 2, "f": 3}[array.dtype.kind]] * samples,
    }
    segments = []
    for plane in np.split(array, samples, axis=-1) if planar else [array]:
        side = tile or max(height, width)
        for top in range(0, height, side):
            for left in range(0, width, side):
                part = plane[top : top + side, left : left + side]
                if tile:
                    rest = ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0))
                    part = np.pad(part, rest, mode="edge")
                segments.append(_packed(_differences(part, predictor, order)))
    numbers = (322, 323, 324, 325) if tile else (278, 273, 279)
    values = ([tile], [tile]) if tile else ([height],)
    sizes = [len(segment) for segment in segments]
    offsets = [8 + sum(sizes[:index]) for index in range(len(sizes))]
    tags |= dict(zip(numbers, (*values, offsets, sizes), strict=True))
    path.write_bytes(_file(segments, tags, order))


def _file(segments: list[bytes], tags: dict[int, list[int]], order: str) -> bytes:
    data = b"".join(segments)
    entries, extra = b"", b""
    start = 8 + len(data)
    for tag, numbers in sorted((tag, numbers) for tag, numbers in tags.items() if numbers):
        code, kind = ("H", 3) if tag in (258, 338, 339) else ("I", 4)
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", start + len(extra)), extra + packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    directory = struct.pack(f"{order}H", len(entries) // 12) + entries + bytes(4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start + len(extra))
    return head + data + extra + directory


def _differences(part: NDArray[Any], predictor: int, order: str) -> bytes:
    """Bytes of the samples, or of their differences."""
    if predictor == 2:
        whole = part.view(f"u{part.itemsize}")
        part = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1]))
    if predictor == 3:
        height, _, samples = part.shape
        shuffled = part.astype(part.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
        planes = shuffled.reshape(height, -1, part.itemsize).swapaxes(1, 2).reshape(height, -1, samples)
        return np.diff(planes, axis=1, prepend=np.zeros_like(planes[:, :1])).tobytes()
    return part.astype(part.dtype.newbyteorder(order)).tobytes()


def _packed(content: bytes) -> bytes:
    """Bytes under LZW, as libtiff writes them."""
    file = io.BytesIO()
    Image.frombytes("L", (len(content), 1), content).save(file, format="TIFF", compression="tiff_lzw")
    file.seek(0)
    with tifffile.TiffFile(file) as written:
        page: Any = written.pages.first
        assert len(page.dataoffsets) == 1
        file.seek(page.dataoffsets[0])
        return file.read(page.databytecounts[0])
