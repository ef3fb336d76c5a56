"""Pictures: PNG, JPEG, TIFF, BMP and WebP, of any number of channels; masks as class ids or palette colours."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from samtailor.data.case import Geometry, Void
from samtailor.data.formats.format import Format, Header, require_file, require_suffix
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.mask_colours import ids_of
from samtailor.data.formats.mask_content import content_of
from samtailor.data.formats.nodata import lacking
from samtailor.data.formats.pillow_raster import READERS as OF_PILLOW
from samtailor.data.formats.pillow_raster import open_with_pillow
from samtailor.data.formats.raster import Raster
from samtailor.data.formats.tiff import SIGNATURES as TIFF
from samtailor.data.formats.tiff import open_tiff
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace

_LARGEST_TIFF = (1 << 32) - (1 << 25)  # bytes that 32-bit offsets reach, less some for tags


@dataclass(frozen=True)
class PictureGeometry(Geometry):
    """Size of a picture as shown: the canonical array lies like that, with one slice, and so do results.

    Attributes:
        size: Rows and columns.
        void: Pixels without data.
    """

    size: tuple[int, int]
    void: Void | None = field(default=None, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """1, rows, columns."""
        return 1, *self.size

    def difference(self, other: Geometry, name: str = "label", like: str = "image") -> tuple[str, str, str] | None:
        """What the size of another picture should be, what it is, and how to fix it, if it differs."""
        difference = super().difference(other, name, like)
        if difference and other.shape == (1, *self.size[::-1]):
            expected, found, _ = difference
            return expected, f"{found}, as if one of them lay on its side", f"turn the {name} as the {like} is shown"
        return difference

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write a palette PNG of ids (16-bit gray if an id is over 255).

        The class names go into a text chunk named 'labels' (JSON).
        """
        require_suffix(path, PictureFormat.label_suffixes.values())
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

    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        """Write a TIFF with one page per class."""
        require_suffix(path, (PictureFormat.probabilities_suffix,))
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
    """PNG, JPEG, TIFF, BMP and WebP; one file holds all channels, and numbers at the end of its name are a name.

    What a file is, its first bytes say, not its name.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
    label_suffixes: ClassVar = {"png": ".png"}
    probabilities_suffix = ".tif"
    volumes = False

    def read_header(self, path: Path) -> Header:
        """Size as shown, channels (without alpha) and bits."""
        raster = _open(path)
        channels = 3 if raster.has_colours else raster.channels
        return Header(PictureGeometry(raster.shown_size), channels, 8 * raster.kept.itemsize, raster.bands)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], PictureGeometry]:
        """Intensities of one file as shown; alpha is dropped, pixels without data are as dark as the darkest other."""
        if len(paths) > 1:
            raise FileError(paths[1], "one picture file per case", f"{len(paths)} files", "merge the channels")
        raster = _open(paths[0])
        samples, alpha = raster.read()
        without, why = lacking(samples, raster.nodata)
        void = _void(raster, without, why, alpha)
        if raster.palette is not None:
            samples, without = raster.palette[samples[..., 0]], None
            samples = samples if raster.has_colours else samples[..., :1]
        elif raster.step > 1:
            samples = samples * np.uint8(raster.step)
        samples = samples.astype(raster.kept, copy=False)
        if void is not None:
            samples = _filled(samples, without, void.where[0])
        rows, columns = samples.shape[:2]
        return np.moveaxis(samples, -1, 0)[:, None], PictureGeometry((rows, columns), void)

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], PictureGeometry]:
        """Label ids of a mask of ids (gray or palette indices), of palette colours, or of gray levels."""
        raster = _open(path)
        samples, _ = raster.read()
        ids = ids_of(raster, samples, labels, own=raster.class_names is not None)
        if raster.nodata is not None and raster.nodata not in labels.ids:
            ids = _without_nodata(raster, ids, labels, raster.nodata)
        rows, columns = ids.shape
        return ids[None], PictureGeometry((rows, columns))

    def content(self, path: Path) -> LabelContent:
        """Pixels of each gray level, index or colour."""
        raster = _open(path)
        return content_of(raster, raster.read()[0])

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names in a text chunk."""
        return _open(path).class_names


def _open(path: Path) -> Raster:
    """What a picture says of itself, whatever its suffix; refuses what is no picture."""
    require_file(path, "picture")
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(tuple(OF_PILLOW)):
        return open_with_pillow(path)
    if head.startswith(TIFF):
        return open_tiff(path)
    found = f"a file that begins with {head!r}" if head else "an empty file"
    expected = "a readable picture: PNG, JPEG, TIFF, BMP or WebP"
    raise FileError(path, expected, found, "convert the file, or copy it again")


def _void(raster: Raster, without: NDArray[np.bool_] | None, why: str, alpha: NDArray[Any] | None) -> Void | None:
    """Pixels without data in any channel, or transparent; refuses pictures without any others."""
    reasons = []
    where = np.zeros(raster.shown_size, dtype=bool)
    if without is not None:
        where |= without.all(axis=-1)
        reasons.append(why)
    if alpha is not None and alpha.min() != alpha.max():
        where |= alpha == 0
        reasons.append("transparency" if where.any() else "an alpha channel that is dropped")
    if where.all() or (alpha is not None and not alpha.any()):
        found = f"none but {' and '.join(reasons)}" if reasons else "an alpha channel of 0 everywhere"
        fix = "take the picture away, or save it without the alpha channel or the nodata tag"
        raise FileError(raster.path, "pixels with data", found, fix)
    return Void(where[None], " and ".join(reasons)) if reasons else None


def _filled(samples: NDArray[Any], without: NDArray[np.bool_] | None, where: NDArray[np.bool_]) -> NDArray[Any]:
    """Samples (H, W, C) with the least other value of the channel where nothing is known."""
    samples = samples.copy()
    for channel in range(samples.shape[2]):
        plane = samples[..., channel]
        unknown = where if without is None else where | without[..., channel]
        if unknown.any():
            plane[unknown] = plane[~unknown].min() if not unknown.all() else 0
    return samples


def _without_nodata(raster: Raster, ids: NDArray[Any], labels: LabelSpace, nodata: float) -> NDArray[Any]:
    """Ids with the ignore id where the mask has no data by its own tag; refused if there is none."""
    empty = ids == nodata
    if not empty.any():
        return ids
    if labels.ignore_id is None:
        found = f"nodata {nodata:g} by the file's tag"
        fix = f'write "ignore_index": {nodata:g} into dataset.json, or fill the mask'
        raise FileError(raster.path, f"label ids {list(labels.ids)}", found, fix)
    return np.where(empty, np.int32(labels.ignore_id), ids)
