"""Pictures: PNG, JPEG and TIFF, 8 and 16 bit, gray and colour; masks as class ids or palette colours."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from samtailor.chunks import blocks
from samtailor.data.case import Geometry
from samtailor.data.formats.format import Format, Header, reading
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace

_GRAY_MODES = ("L", "LA", "I", "F", "I;16", "I;16L", "I;16B")
_LARGEST_TIFF = (1 << 32) - (1 << 25)  # bytes that 32-bit offsets reach, less some for tags
_DEEP = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}  # Pillow's names of the high and the low bytes


@dataclass(frozen=True)
class PictureGeometry(Geometry):
    """Size of a picture: the canonical array is the file's, with one slice.

    Attributes:
        size: Rows and columns.
    """

    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """1, rows, columns."""
        return 1, *self.size

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write a palette PNG of ids (16-bit gray if an id is over 255).

        The class names go into a text chunk named 'labels' (JSON).
        """
        ids = labels.to_ids(label[0])
        image = Image.fromarray(ids)
        if ids.dtype == np.uint8:
            palette = np.zeros((256, 3), dtype=np.uint8)
            palette[list(labels.ids)] = labels.palette
            image.putpalette(palette.tobytes())
        names = PngImagePlugin.PngInfo()
        names.add_text("labels", json.dumps(dict(zip(map(str, labels.ids), labels.names, strict=True))))
        with atomic(path) as temporary:
            image.save(temporary, format="PNG", pnginfo=names)

    def write_probabilities(self, path: Path, probabilities: NDArray[Any]) -> None:
        """Write a TIFF with one page per class."""
        pages = probabilities[:, 0]
        with atomic(path) as temporary:
            tifffile.imwrite(
                temporary,
                (page.astype(np.float32) for page in pages),  # page by page: the array may lie on disk
                shape=pages.shape,
                dtype=np.float32,
                compression="zlib",
                photometric="minisblack",
                bigtiff=4 * pages.size > _LARGEST_TIFF,
            )


class PictureFormat(Format):
    """PNG, JPEG and TIFF; one file holds all channels, and numbers at the end of its name are a name."""

    suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
    label_suffix = ".png"
    probabilities_suffix = ".tif"
    volumes = False

    def read_header(self, path: Path) -> Header:
        """Size, channels (1 or 3: alpha is dropped) and bits."""
        tiff = _tiff_header(path)
        if tiff and _is_deep(tiff):
            return tiff
        with _open(path) as image:
            channels = 1 if image.mode in ("1", *_GRAY_MODES) or _has_gray_palette(image) else 3
            bits = 16 if image.mode.startswith("I;16") or _raw_mode(image) in _DEEP else 8
            bands = tiff.bands if tiff else len(image.getbands())
            geometry = PictureGeometry((image.height, image.width))
            return Header(geometry, channels, 32 if image.mode in ("I", "F") else bits, bands)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], PictureGeometry]:
        """Intensities of one file, 1 or 3 channels: alpha is dropped."""
        if len(paths) > 1:
            raise FileError(paths[1], "one picture file per case", f"{len(paths)} files", "merge the channels")
        tiff = _tiff_header(paths[0])
        if tiff and _is_deep(tiff):
            array = _read_deep_tiff(paths[0])
        else:
            with _open(paths[0]) as image:
                array = _decode(paths[0], image)
        array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
        return array[:, None], _geometry_of(array)

    def read_ids(self, path: Path, labels: LabelSpace) -> tuple[NDArray[Any], PictureGeometry]:
        """Label ids of a mask of ids (gray or palette indices), of palette colours, or of gray levels."""
        _tiff_header(path)  # refuses a stack, of which Pillow would take the first page
        if labels.threshold is not None:
            ids = _levels_to_ids(path, labels, labels.threshold)
            return ids[None], _geometry_of(ids)
        with _open(path) as image:
            mode = image.mode
            pixels = _pixels(path, image if mode in ("1", "P", "RGB", *_GRAY_MODES) else image.convert("RGB"))
        if mode == "LA":
            pixels = pixels[..., 0]
        if mode == "F":
            fix = "store the mask as integers"
            raise FileError(path, "integer ids or palette colours", "floating-point numbers", fix)
        ids = _colours_to_ids(path, pixels, labels) if pixels.ndim == 3 else pixels.astype(np.int32)
        return ids[None], _geometry_of(ids)

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names in a text chunk."""
        with _open(path) as image:
            text = image.info.get("labels")
        with suppress(ValueError, TypeError, AttributeError):  # somebody else's text
            return {int(i): str(name) for i, name in json.loads(text or "").items()}
        return None


def _geometry_of(array: NDArray[Any]) -> PictureGeometry:
    """Geometry of an array whose last axes are rows and columns."""
    rows, columns = array.shape[-2:]
    return PictureGeometry((rows, columns))


def _open(path: Path) -> Image.Image:
    """The picture with its header read."""
    with _reading(path):
        return Image.open(path)


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(path, "picture")


def _pixels(path: Path, image: Image.Image) -> NDArray[Any]:
    """Decoded pixels, (H, W) or (H, W, C), in native byte order."""
    with _reading(path):
        array = np.array(image)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _decode(path: Path, image: Image.Image) -> NDArray[Any]:
    """Intensities of shape (H, W) or (H, W, 3)."""
    raw = _raw_mode(image)
    if raw in _DEEP:
        return _decode_deep_png(path, image)
    if raw == "LA;16B":
        raise FileError(path, "gray, or colour", "16-bit gray with transparency", "save it without alpha channel")
    if image.mode == "LA":
        return _pixels(path, image)[..., 0]
    if image.mode not in (*_GRAY_MODES, "RGB"):
        with _reading(path):
            image = image.convert("L" if image.mode == "1" or _has_gray_palette(image) else "RGB")
    return _pixels(path, image)


def _decode_deep_png(path: Path, image: Image.Image) -> NDArray[np.uint16]:
    """16-bit colour PNG, shape (H, W, 3).

    Pillow keeps the high byte of such files only; told that they were little-endian it keeps the low one.
    """
    high = _pixels(path, image)[..., :3].astype(np.uint16)
    with _open(path) as again:
        again.tile = [(*tile[:3], _DEEP[_raw_mode(again)]) for tile in again.tile]  # type: ignore[attr-defined]
        low = _pixels(path, again)[..., :3]
    deep: NDArray[np.uint16] = high << 8 | low
    return deep


def _tiff_header(path: Path) -> Header | None:
    """What the only page of a TIFF says, None if the file is none; refuses stacks, and what Pillow would confuse."""
    if path.suffix.lower() not in (".tif", ".tiff") or not os.path.isfile(path):
        return None
    with _reading(path), tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        samples, size = page.samplesperpixel, (page.imagelength, page.imagewidth)
        pages = series.size // (size[0] * size[1] * samples)
        orientation = page.tags.valueof("Orientation", 1)
    if pages > 1 or samples not in (1, 2, 3, 4):
        found = f"axes {series.axes}, {pages} pages of {samples} channels"
        raise FileError(path, "one gray or RGB picture", found, "split the stack, or keep three channels")
    if orientation > 4:  # Pillow 13 confuses rows and columns of such files
        found = f"a picture on its side (tag {orientation})"
        raise FileError(path, "rows from top to bottom", found, "rotate and save it")
    return Header(PictureGeometry(size), 3 if samples >= 3 else 1, series.dtype.itemsize * 8, samples)


def _is_deep(tiff: Header) -> bool:
    """Whether it has several samples of more than 8 bits, which Pillow cannot read."""
    return tiff.channels == 3 and tiff.bits > 8


def _read_deep_tiff(path: Path) -> NDArray[Any]:
    """Pixels of shape (H, W, 3), in native byte order."""
    with _reading(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        array = series.asarray()
    array = np.moveaxis(array, series.axes.index("S"), -1)[..., :3]
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _levels_to_ids(path: Path, labels: LabelSpace, threshold: int) -> NDArray[np.int32]:
    """Ids of a mask of gray levels, (H, W): the second class above the threshold, the first elsewhere."""
    with _open(path) as image:
        indices = image.mode == "P" and not _has_gray_palette(image)  # as `write_label` writes them
        deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        levels = _pixels(path, image if indices or deep else image.convert("L"))
    bright = levels > threshold
    if levels.any() and not bright.any():
        found = f"no level above {threshold}, the highest is {levels.max():g}"
        fix = f"store the mask with {labels.ids[0]} for {labels.names[0]} and {labels.ids[1]} for {labels.names[1]}"
        raise FileError(path, f"white where '{labels.names[1]}' is", found, fix)
    return np.where(bright, *map(np.int32, reversed(labels.ids)))


def _colours_to_ids(path: Path, pixels: NDArray[np.uint8], labels: LabelSpace) -> NDArray[Any]:
    """Ids of palette colours, (H, W, 3) to (H, W); gray of the ignore id's value is the ignore id."""
    ids_of = {colour: i for i, colour in zip(labels.ids, labels.palette, strict=True)}
    if labels.ignore_id is not None and 0 <= labels.ignore_id <= 255:
        ids_of.setdefault((labels.ignore_id,) * 3, labels.ignore_id)
    ids = np.empty(pixels.shape[:2], dtype=np.min_scalar_type(max(ids_of.values())))
    unknown: set[int] = set()
    for rows in blocks(ids.shape):
        codes = pixels[rows].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        known = np.zeros(codes.shape, dtype=bool)
        for (red, green, blue), identifier in ids_of.items():
            found = codes == (red << 16 | green << 8 | blue)
            ids[rows][found] = identifier
            known |= found
        if not known.all():
            unknown |= set(np.unique(codes[~known]).tolist())
    if unknown:
        colours = [(v >> 16, v >> 8 & 255, v & 255) for v in sorted(unknown)[:5]]
        fix = "add the colours to the palette in dataset.json, or store the mask as class ids"
        raise FileError(path, f"the palette's colours {sorted(ids_of)}", f"also {colours}", fix)
    return ids


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name of the layout of the bytes in the file, e.g. 'RGB;16B'."""
    args = image.tile[0][3] if image.tile else ""  # type: ignore[attr-defined]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _has_gray_palette(image: Image.Image) -> bool:
    """Whether all colours of a palette image are gray."""
    if image.mode != "P":
        return False
    palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())
