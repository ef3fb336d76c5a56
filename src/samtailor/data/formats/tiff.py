"""TIFF: any number of samples of any type, in strips or tiles, whatever the compression.

tifffile reads what it can without the large package imagecodecs. Where the bytes are compressed otherwise (LZW, the
most usual one, Zstandard), Pillow's libtiff unpacks them (`libtiff.py`); what neither knows, such as LERC, imagecodecs
does, where the extra `tiff` is installed. What is stored as no plain samples (JPEG, fax, YCbCr,
CMYK, Lab), Pillow draws as RGB or black and white.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import COMPRESSION_INFO, TiffImageFile
from tifffile import PHOTOMETRIC

from samtailor.data.formats.format import reading
from samtailor.data.formats.libtiff import unpacked
from samtailor.data.formats.raster import Raster, full_palette, require_content, require_pixels, upright_or
from samtailor.errors import FileError, counted

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what is wrong with a file is told in our errors

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How files begin: of either byte order, with offsets of 32 bits or of 64."""

_NODATA = 42113  # GDAL's tag, a number as text
_ORIENTATION = 274
_PLAIN = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE)
_COLOURED = (PHOTOMETRIC.SEPARATED, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB)
_DRAWN = (2, 3, 4, 6, 7, 50001)  # fax, JPEG and WebP hold pictures rather than bytes
_BITS = (1, 2, 4, 8, 16, 32, 64)
# The most bytes that one byte can hold, by compression; the others (zstd, lzma, fax, ...) have no bound to speak of.
_RATIOS = {1: 1, 5: 1400, 8: 1032, 32946: 1032, 32773: 64}
_MOST = 1000  # pages that are counted
_FIX = "save it as gray or RGB, with the compression deflate or none"


@dataclass(frozen=True, kw_only=True)
class Tiff(Raster):
    """A TIFF file.

    Attributes:
        drawn: Whether Pillow decodes it to RGB or gray.
        alpha: Which of the samples is alpha, if one is.
        inverted: Whether 0 is white.
    """

    drawn: bool
    alpha: int | None
    inverted: bool

    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Samples (H, W, C) as stored, and alpha (H, W), if there is one."""
        with reading(self.path, "picture"), _file(self.path) as file:
            pages, mask = _pages(file)
            _require_segments(self.path, pages[0])
            samples = _drawn(self.path, pages[0]) if self.drawn else _samples(pages[0])
            alpha = None if mask is None else _samples(mask)[..., 0]
        if self.inverted and samples.dtype.kind == "u":
            samples = (255 // self.step if self.step > 1 else np.iinfo(samples.dtype).max) - samples
        if self.alpha is not None:
            alpha, samples = samples[..., self.alpha], np.delete(samples, self.alpha, axis=-1)
        return samples, alpha


def open_tiff(path: Path) -> Tiff:
    """What a TIFF says of itself; refuses stacks of pages, and kinds of samples that cannot be read."""
    with reading(path, "picture"), _file(path) as file:
        pages, _ = _pages(file)
        page = pages[0]
        require_pixels(path, (page.imagelength, page.imagewidth))
        count = len(pages) if len(pages) > 1 else max(1, file.series[0].size // max(1, math.prod(page.shaped)))
        if count > 1 or page.imagedepth > 1:
            found = f"{count if count < _MOST else 'many'} pages of {counted(page.samplesperpixel, 'channel')}"
            raise FileError(path, "one picture", found, "split the stack into one file for each picture")
        drawn = page.compression in _DRAWN or page.photometric in _COLOURED
        _require_kind(path, page, drawn)
        dtype = np.dtype(np.uint8) if drawn or page.bitspersample < 8 else np.dtype(page.dtype).newbyteorder("=")
        ratio = _RATIOS.get(page.compression)
        if ratio and page.dataoffsets and all(page.databytecounts):  # GDAL leaves out empty tiles
            require_content(path, math.prod(page.shaped) * page.bitspersample // 8, ratio * path.stat().st_size)
        samples = page.samplesperpixel
        alpha = _alpha(page)
        one_bit_drawn = page.compression in _DRAWN[:3]
        inverted = page.photometric == PHOTOMETRIC.MINISWHITE and not drawn
        palette = None
        if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
            palette = full_palette(np.asarray(page.colormap.T >> 8, dtype=np.uint8))
        return Tiff(
            path=path,
            size=(page.imagelength, page.imagewidth),
            dtype=dtype,
            channels=(1 if samples - len(page.extrasamples) == 1 else 3) if drawn else samples - (alpha is not None),
            bands=samples,
            orientation=upright_or(page.tags.valueof(_ORIENTATION, 1)),
            palette=palette,
            step=255 // (2**page.bitspersample - 1) if page.bitspersample < 8 and (one_bit_drawn or not drawn) else 1,
            nodata=_nodata(page),
            drawn=drawn,
            alpha=None if drawn else alpha,
            inverted=inverted,
        )


def _file(path: Path) -> tifffile.TiffFile:
    """The file, without the others of which OME metadata may tell."""
    return tifffile.TiffFile(path, is_ome=False)


def _pages(file: tifffile.TiffFile) -> tuple[list[Any], Any]:
    """Pages that are pictures of their own, and the page that masks the first, if there is one; no overviews."""
    pages: list[Any] = []
    mask: Any = None
    every: Iterable[Any] = file.pages
    for page in islice(every, _MOST):
        if page.subfiletype & 4:
            mask = mask or page
        elif not page.subfiletype & 1 or not pages:
            pages.append(page)
    fits = mask is not None and (mask.imagelength, mask.imagewidth) == (pages[0].imagelength, pages[0].imagewidth)
    return pages, mask if fits else None


def _require_kind(path: Path, page: Any, drawn: bool) -> None:
    """Refuse samples that can be read by none of the ways."""
    bits = page.bitspersample
    photometric, compression = (getattr(value, "name", value) for value in (page.photometric, page.compression))
    found = f"{page.dtype or f'{bits}-bit'} samples, {photometric}, compression {compression}"
    if drawn:  # an alpha channel is dropped, no other band is
        colours = page.samplesperpixel - len([extra for extra in page.extrasamples if extra in (1, 2)])
        expected = {PHOTOMETRIC.SEPARATED: (4,), PHOTOMETRIC.YCBCR: (3,), PHOTOMETRIC.CIELAB: (3,)}
        readable = bits in (1, 8) and colours in expected.get(page.photometric, (1, 3))
    else:
        readable = page.photometric in _PLAIN and page.dtype is not None and bits in _BITS
        readable = readable and np.dtype(page.dtype).kind in "buif" and (bits >= 8 or page.samplesperpixel == 1)
    if not readable:
        raise FileError(path, "integer or float samples, gray or in colour", found, _FIX)


def _alpha(page: Any) -> int | None:
    """Which of the samples is alpha, if the file says that one is."""
    first = page.samplesperpixel - len(page.extrasamples)
    return next((first + i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)), None)


def _nodata(page: Any) -> float | None:
    """The number in GDAL's tag."""
    with suppress(ValueError, TypeError):
        return float(str(page.tags.valueof(_NODATA)).strip(" \0"))
    return None


def _require_segments(path: Path, page: Any) -> None:
    """Refuse a page with strips or tiles beyond the end of the file: tifffile would make up their pixels."""
    length = path.stat().st_size
    ends = (start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(page.dataoffsets) < (1 if page.is_contiguous else math.prod(page.chunked)) or max(ends, default=0) > length:
        found = "pixels beyond the end of the file"
        raise FileError(path, "a readable picture", found, "the file is damaged or truncated: copy or convert it again")


def _samples(page: Any) -> NDArray[Any]:
    """Samples (H, W, C) of a page as stored."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError:
        planes = _unpacked(page)
    else:
        try:
            planes = page.asarray(squeeze=False)[:, 0]
        except ImportError:  # Zstandard is Python's own from 3.14 on
            planes = _unpacked(page)
    channels: NDArray[Any] = np.moveaxis(planes, 0, -2).reshape(*planes.shape[1:3], -1)
    return channels.view(np.uint8) if channels.dtype == bool else channels


def _unpacked(page: Any) -> NDArray[Any]:
    """Samples of a page, (planes, H, W, samples), in a compression that tifffile lacks; refused if Pillow does, too."""
    if page.compression not in COMPRESSION_INFO:
        name = getattr(page.compression, "name", page.compression)
        fix = "pip install 'samtailor[tiff]', or save it with the compression deflate or none"
        raise FileError(page.parent.filehandle.path, "a TIFF whose compression is known here", f"{name}", fix)
    return unpacked(page)


def _drawn(path: Path, page: Any) -> NDArray[np.uint8]:
    """RGB or gray as Pillow decodes it, rows as stored, (H, W, C); 0 and 1 of black and white."""
    content = bytearray(path.read_bytes())
    if tag := page.tags.get(_ORIENTATION):  # Pillow would turn the picture, and confuse rows and columns of some
        struct.pack_into(page.parent.byteorder + "H", content, tag.valueoffset, 1)
    with TiffImageFile(io.BytesIO(content)) as image:
        drawn: Image.Image = image
        if image.mode == "LAB":
            to_rgb = ImageCms.buildTransform(
                ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
            )
            drawn = ImageCms.applyTransform(image, to_rgb) or image
        elif image.mode not in ("1", "L", "RGB"):
            drawn = image.convert("RGB")
        pixels = np.asarray(drawn)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return pixels.astype(np.uint8, copy=False)
