"""PNG, JPEG, BMP and WebP, decoded by Pillow."""

from __future__ import annotations

import io
import math
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from samtailor.data.formats.format import reading
from samtailor.data.formats.raster import Raster, full_palette, require_content, require_pixels, upright_or
from samtailor.errors import FileError

# Opened by their classes, not by `Image.open`: that would try all formats that Pillow knows (EPS starts Ghostscript),
# and refuses sound pictures of more than 179 megapixels. What a file can hold and what fits in memory we check.
READERS: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"RIFF": WebPImageFile,
}
"""How files begin, and what reads them."""

_DEEP = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}  # Pillow's names of the high and the low bytes
_DEEP_GRAY_ALPHA = "LA;16B"
_BITS = {"1": 1, "L;2": 2, "L;4": 4, "P;1": 1, "P;2": 2, "P;4": 4, "BGR;15": 16, "BGR;16": 16}
_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
# The most that the files can hold: deflate's bytes per byte; a bit per block of 8 x 8 samples with room to spare; four
# bytes of a BMP's run lengths may leave out 255 x 255 pixels. A WebP has at most 16,383 rows and columns.
_PNG_RATIO, _JPEG_PIXELS_PER_BYTE, _BMP_PIXELS_PER_BYTE = 1032, 2048, 255 * 255 // 4
_BMP_RUNS = (1, 2)


@dataclass(frozen=True, kw_only=True)
class PillowRaster(Raster):
    """A PNG, JPEG, BMP or WebP file.

    Attributes:
        transparency: What the file says of transparent indices (alpha of each, or the one index) or of a transparent
            gray level or colour.
    """

    transparency: bytes | int | tuple[int, ...] | None = None

    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Samples (H, W, C) as stored, and alpha (H, W), if there is one."""
        with reading(self.path, "picture"), _open(self.path) as image:
            samples = self._samples(image)
        if samples.shape[2] > self.channels:
            return samples[..., : self.channels], samples[..., -1]
        return samples, self._transparent(samples)

    def _samples(self, image: ImageFile.ImageFile) -> NDArray[Any]:
        """Samples (H, W, C), alpha last, if there is one."""
        raw = _raw_mode(image)
        if raw in _DEEP:
            # Pillow keeps the high byte of such files only; told that they were little-endian it keeps the low one.
            high = np.asarray(image).astype(np.uint16)
            with _open(self.path) as again:
                again.tile = [(*tile[:3], _DEEP[raw]) for tile in again.tile]  # type: ignore[misc]
                deep: NDArray[np.uint16] = high << 8 | np.asarray(again)
            return deep
        if raw == _DEEP_GRAY_ALPHA:
            with PngImageFile(_as_eight_bit_rgba(self.path)) as again:
                return np.asarray(again).view(">u2")
        if image.mode not in ("1", "L", "LA", "P", "I", "I;16", "I;16B", "RGB", "RGBA"):
            image = image.convert("RGB")  # type: ignore[assignment]
        samples = np.asarray(image)
        samples = samples[..., None] if samples.ndim == 2 else samples
        return (samples if self.step == 1 or image.mode == "1" else samples // self.step).astype(self.dtype, copy=False)

    def _transparent(self, samples: NDArray[Any]) -> NDArray[np.uint8] | None:
        """Alpha (H, W) of what the file calls transparent."""
        if self.transparency is None:
            return None
        if isinstance(self.transparency, bytes):
            table = np.full(256, 255, dtype=np.uint8)
            table[: len(self.transparency)] = np.frombuffer(self.transparency, np.uint8)
            alpha: NDArray[np.uint8] = table[samples[..., 0]]
            return alpha
        return np.where((samples == np.array(self.transparency)).all(axis=-1), np.uint8(0), np.uint8(255))


def open_with_pillow(path: Path) -> PillowRaster:
    """What a file says of itself; refuses animations."""
    with reading(path, "picture"), _open(path) as image:
        require_pixels(path, (image.height, image.width))
        raw = _raw_mode(image)
        deep = raw in (*_DEEP, _DEEP_GRAY_ALPHA) or image.mode.startswith("I")
        dtype = np.dtype(np.uint16 if deep else np.uint8)
        gray = raw == _DEEP_GRAY_ALPHA or image.mode in ("1", "L", "LA", "P", "I", "I;16", "I;16B")
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise FileError(path, "a single picture", f"an animation of {frames} frames", "save the frame you mean")
        palette = None
        if image.mode == "P" and image.palette:
            kept = image.palette.rawmode or "RGB"  # BMP has blue first, and a fourth byte
            colours = np.frombuffer(bytes(image.palette.palette), np.uint8).reshape(-1, len(kept))
            palette = full_palette(colours[:, [kept.index(colour) for colour in "RGB"]])
        bands = 2 if raw == _DEEP_GRAY_ALPHA else len(image.getbands())  # Pillow calls that RGBA
        transparency = image.info.get("transparency")
        if image.mode == "1" and transparency is not None:
            transparency = int(bool(transparency))
        bits = _BITS.get(raw, 8 * dtype.itemsize * bands)
        _require_content(path, image, image.height * (image.width * bits + 7) // 8)
        return PillowRaster(
            path=path,
            size=(image.height, image.width),
            dtype=dtype,
            channels=1 if gray else 3,
            bands=bands,
            orientation=_orientation(path, image),
            palette=palette,
            step=_STEPS.get(raw, 1),
            names=image.info.get("labels"),
            transparency=transparency,
        )


def _open(path: Path) -> ImageFile.ImageFile:
    """The picture with its header read."""
    with path.open("rb") as file:
        head = file.read(8)
    return next(reader for start, reader in READERS.items() if head.startswith(start))(path)


def _require_content(path: Path, image: ImageFile.ImageFile, size: int) -> None:
    """Refuse a file that cannot hold the pixels of its header, which have a size in bytes."""
    pixels, held = math.prod(image.size), path.stat().st_size
    match image:
        case PngImageFile():
            require_content(path, size, held * _PNG_RATIO)
        case JpegImageFile():
            require_content(path, pixels, held * _JPEG_PIXELS_PER_BYTE)
        case BmpImageFile() if image.info.get("compression") in _BMP_RUNS:
            require_content(path, pixels, held * _BMP_PIXELS_PER_BYTE)
        case BmpImageFile():
            require_content(path, size, held)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Pillow's name of the layout of the bytes in the file, e.g. 'RGB;16B'."""
    args = image.tile[0][3] if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _orientation(path: Path, image: ImageFile.ImageFile) -> int:
    """How the rows lie in the picture; 1 where the file says nothing that can be understood, as viewers take it."""
    if isinstance(image, PngImageFile) and "exif" not in image.info and (exif := _late_exif(path)):
        image.info["exif"] = exif
    with suppress(Exception):  # EXIF of many cameras and programs is broken; the picture is sound
        # Image's own, which is all of it: the method of PNG files would decode them to look behind their pixels.
        return upright_or(Image.Image.getexif(image).get(ExifTags.Base.Orientation))
    return 1


def _late_exif(path: Path) -> bytes | None:
    """EXIF data of a PNG wherever they stand; they may follow the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return b"Exif\0\0" + file.read(length)
            file.seek(length + 4, io.SEEK_CUR)
    return None


def _as_eight_bit_rgba(path: Path) -> io.BytesIO:
    """A PNG of 16-bit gray and alpha that says it is 8-bit RGBA: also four bytes a pixel, and Pillow reads all."""
    content = bytearray(path.read_bytes())
    content[24:26] = 8, 6  # bits and kind in the header chunk, which comes first
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return io.BytesIO(content)
