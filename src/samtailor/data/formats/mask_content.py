"""From the samples of a mask to what it holds, whichever classes there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks, counts_of
from samtailor.data.conditions import count_ids
from samtailor.data.formats.label_content import Colour, LabelContent
from samtailor.data.formats.raster import Raster
from samtailor.data.formats.whole_numbers import whole_numbers
from samtailor.errors import FileError, counted

_DEEP = 257  # of which 16-bit numbers are multiples that were 8-bit ones


def content_of(raster: Raster, samples: NDArray[Any]) -> LabelContent:
    """Content of a picture, by its samples (H, W, C).

    Raises:
        FileError: If they are neither ids nor colours.
    """
    nodata = int(raster.nodata) if raster.nodata is not None and float(raster.nodata).is_integer() else None
    names = raster.class_names
    if raster.palette is not None:
        indices = samples[..., 0]
        counts = counts_of(indices, len(raster.palette))
        ids = {index: int(counts[index]) for index in np.flatnonzero(counts).tolist()}
        if names is None and (bits := raster.as_bits(indices, list(ids))) is not None:
            return content_of(bits[0], bits[1][..., None])
        if not raster.has_colours:
            return LabelContent("ids", ids, nodata=nodata, names=names)
        palette = {index: _colour(*raster.palette[index].tolist()) for index in ids}
        return LabelContent("palette", ids, palette=palette, nodata=nodata, names=names)
    match samples.shape[2]:
        case 1:
            whole = whole_numbers(raster.path, samples[..., 0])
            return LabelContent("ids", count_ids(whole[None]), step=raster.step, nodata=nodata, names=names)
        case 3:
            colours = _colours(raster.path, samples)
            is_gray = all(red == green == blue for red, green, blue in colours)
            return LabelContent("gray colours" if is_gray else "colours", colours=colours)
    found = counted(samples.shape[2], "channel")
    fix = "store the mask as ids"
    raise FileError(raster.path, "integer ids (one channel) or colours (three) in a mask", found, fix)


def _colours(path: Path, pixels: NDArray[Any]) -> dict[Colour, int]:
    """Pixels (H, W, 3) of each colour."""
    if pixels.dtype == np.uint16 and not (pixels % _DEEP).any():
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype != np.uint8:
        fix = "save the mask with 8 bits per channel, or store it as class ids"
        raise FileError(path, "colours of 8 bits in a mask", f"colours of {pixels.dtype}", fix)
    counts: Counter[int] = Counter()
    for rows in blocks(pixels.shape[:2]):
        codes = pixels[rows].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        values, numbers = np.unique(codes, return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return {(code >> 16, code >> 8 & 255, code & 255): count for code, count in sorted(counts.items())}


def _colour(red: int, green: int, blue: int) -> Colour:
    return red, green, blue
