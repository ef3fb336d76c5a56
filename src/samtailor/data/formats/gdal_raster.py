"""What a GeoTIFF or a VRT says of itself, and its samples, whole or a window; GDAL reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats.format import reading, require_memory
from samtailor.data.formats.gdal import gdal, open_dataset
from samtailor.data.formats.nodata import lacking
from samtailor.data.formats.raster import Raster
from samtailor.errors import FileError

Transform = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a * column + b * row + c, y = d * column + e * row + f, at the corners of pixels."""

_PEAK = 3  # bytes in memory for each that is read: as stored, as kept, and what GDAL holds of it


@dataclass(frozen=True)
class Excerpt:
    """Samples of some rows and columns.

    Attributes:
        samples: As stored, shape (C, h, w).
        lacking: Samples that stand for no data, shape (C, h, w); None if there are none.
        masked: Pixels that are masked or transparent, shape (h, w); None if there are none.
        why: What says so.
    """

    samples: NDArray[Any]
    lacking: NDArray[np.bool_] | None
    masked: NDArray[np.bool_] | None
    why: str

    @property
    def void(self) -> NDArray[np.bool_] | None:
        """Pixels without data in any band, masked, or transparent, shape (h, w); None if there are none."""
        void = None if self.lacking is None else np.asarray(self.lacking.all(axis=0))
        if self.masked is not None:
            void = self.masked if void is None else void | self.masked
        return void if void is not None and void.any() else None

    def filled(self) -> NDArray[Any]:
        """Samples with 0 where nothing is known: the same whatever else is read with them, and no spike to smooth."""
        samples = self.samples
        for unknown in (self.lacking, self.masked):
            if unknown is not None:
                samples = np.where(unknown, samples.dtype.type(0), samples)
        return samples


ExcerptReader = Callable[[slice, slice], Excerpt]
"""Reads the part of given rows and columns."""


@dataclass(frozen=True, kw_only=True)
class GdalRaster(Raster):
    """A GeoTIFF, VRT or JPEG 2000.

    Attributes:
        crs: Its coordinate reference system as WKT; None if it names none.
        transform: From columns and rows to coordinates; None if it has none.
        indexes: Numbers of the bands that hold intensities, from 1 as GDAL counts; alpha is none of them.
        masked: Number of the band whose mask says more than the nodata tags: a mask in the file or beside it, or alpha.
        tile: Rows and columns that are stored together.
    """

    crs: str | None
    transform: Transform | None
    indexes: tuple[int, ...]
    masked: int | None
    tile: tuple[int, int]

    @contextmanager
    def reader(self) -> Iterator[ExcerptReader]:
        """A block that reads part after part: what GDAL has unpacked for one may serve the next."""
        with open_dataset(self.path) as dataset:
            nodata = [dataset.nodatavals[index - 1] for index in self.indexes]

            def part(rows: slice, columns: slice) -> Excerpt:
                top, bottom, _ = rows.indices(self.size[0])
                left, right, _ = columns.indices(self.size[1])
                window = (top, max(top, bottom)), (left, max(left, right))
                with gdal(self.path), reading(self.path, "GeoTIFF"):
                    samples = dataset.read(list(self.indexes), window=window)
                    mask = None if self.masked is None else dataset.read_masks(self.masked, window=window) == 0
                return _part(samples, nodata, mask)

            yield part

    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Samples (H, W, C) as stored; nothing is split off as alpha."""
        return np.moveaxis(self.whole().samples, 0, -1), None

    def whole(self) -> Excerpt:
        """All of it; refused if it needs more memory than is free."""
        require_memory(self.path, round(_PEAK * math.prod(self.size) * self.bands * self.dtype.itemsize))
        with self.reader() as read:
            return read(slice(None), slice(None))


def _part(samples: NDArray[Any], nodata: list[float | None], mask: NDArray[np.bool_] | None) -> Excerpt:
    """What is known of samples (C, h, w), by the nodata of each band and a mask (h, w) of what is not known."""
    if len(set(nodata)) == 1:
        without, why = lacking(samples, nodata[0])
    else:  # bands of a mosaic may have their own
        planes = [lacking(plane, value) for plane, value in zip(samples, nodata, strict=True)]
        nothing = np.zeros(samples.shape[1:], np.bool_)
        without = np.stack([nothing if found is None else found for found, _ in planes])
        without, why = (without, next(filter(None, (why for _, why in planes)))) if without.any() else (None, "")
    reasons = [why] if why else []
    if mask is not None and mask.any():
        return Excerpt(samples, without, mask, " and ".join([*reasons, "the file's mask or transparency"]))
    return Excerpt(samples, without, None, "".join(reasons))


def open_raster(path: Path) -> GdalRaster:
    """What such a file says of itself; refuses complex numbers, and files whose pixels lie on no grid."""
    with open_dataset(path) as dataset, gdal(path), reading(path, "GeoTIFF"):
        return _described(path, dataset)


def _described(path: Path, dataset: Any) -> GdalRaster:
    dtype = np.result_type(*dataset.dtypes) if dataset.count else np.dtype(np.uint8)
    if not dataset.count:
        raise FileError(path, "an image with bands", "none", "give the subdataset that holds the image as a file")
    if dtype.kind not in "iuf":
        fix = "store the amplitude or the intensity"
        raise FileError(path, "integers or floats", f"complex numbers ({', '.join(set(dataset.dtypes))})", fix)
    transform = _transform(path, dataset)
    alpha = {
        index for index, colour in zip(dataset.indexes, dataset.colorinterp, strict=True) if colour.name == "alpha"
    }
    indexes = tuple(index for index in dataset.indexes if index not in alpha) or tuple(dataset.indexes)
    flags = [{flag.name for flag in flags} for flags in dataset.mask_flag_enums]
    masked = next((index for index in indexes if "per_dataset" in flags[index - 1]), None)
    bits = int(dataset.tags(indexes[0], ns="IMAGE_STRUCTURE").get("NBITS", 8 * dtype.itemsize))
    return GdalRaster(
        path=path,
        size=dataset.shape,
        dtype=dtype,
        channels=len(indexes),
        bands=dataset.count,
        palette=_palette(dataset) if len(indexes) == 1 else None,
        step=255 // (2**bits - 1) if bits < 8 else 1,
        nodata=dataset.nodatavals[indexes[0] - 1],
        names=dataset.tags(indexes[0]).get("labels"),
        crs=dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else None,
        transform=transform,
        indexes=indexes,
        masked=masked,
        tile=dataset.block_shapes[indexes[0] - 1],
    )


def _transform(path: Path, dataset: Any) -> Transform | None:
    """The file's transform; None if it has none. Ground control points are none."""
    a, b, c, d, e, f = (float(number) for number in dataset.transform[:6])
    if (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):
        if points := dataset.gcps[0]:
            fix = "bring it onto a grid first: gdalwarp -tps IN OUT"
            raise FileError(path, "an image on a grid (a transform)", f"{len(points)} ground control points", fix)
        return None
    if not a * e - b * d or not np.isfinite([a, b, c, d, e, f]).all():
        found = f"({a:g}, {b:g}, {c:g}, {d:g}, {e:g}, {f:g})"
        raise FileError(path, "a transform from pixels to coordinates and back", found, "write the file again")
    return a, b, c, d, e, f


def _palette(dataset: Any) -> NDArray[np.uint8] | None:
    """Colours of the indices of the first band, (N, 3); None if its samples are no indices."""
    if dataset.colorinterp[0].name != "palette" or dataset.dtypes[0] not in ("uint8", "uint16"):
        return None
    colours = dataset.colormap(1)
    table = np.zeros((np.iinfo(dataset.dtypes[0]).max + 1, 3), np.uint8)  # black where it gives no colour
    for index, colour in colours.items():
        table[index] = colour[:3]
    return table
