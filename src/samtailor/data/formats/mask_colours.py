"""From what a mask shows to label ids: gray levels, indices of a palette, colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samtailor.chunks import blocks, counts_of
from samtailor.data.formats.raster import Raster
from samtailor.data.formats.whole_numbers import whole_numbers
from samtailor.errors import FileError, counted
from samtailor.labels import LabelSpace, default_palette

Colour = tuple[int, int, int]

_LARGEST_ID = 1 << 53  # whole numbers beyond are not all doubles


def ids_of(raster: Raster, samples: NDArray[Any], labels: LabelSpace, own: bool) -> NDArray[Any]:
    """Label ids (H, W) of samples (H, W, C) of a mask; `own` is one that `write_label` wrote, whose indices are ids."""
    if labels.threshold is not None:
        return _of_levels(raster, samples, labels, labels.threshold)
    if raster.palette is not None:
        return samples[..., 0] if own else _of_indices(raster, samples[..., 0], raster.palette, labels)
    match samples.shape[2]:
        case 1:
            return _of_gray(raster, samples[..., 0], labels)
        case 3:
            return _of_colours(raster.path, samples, labels)
    found = counted(samples.shape[2], "channel")
    raise FileError(raster.path, "integer ids (one channel) or palette colours (three)", found, "store the mask as ids")


def _of_gray(raster: Raster, gray: NDArray[Any], labels: LabelSpace) -> NDArray[Any]:
    """Ids of one channel; samples of fewer than eight bits are ids if the label space has them, else gray levels."""
    if raster.step > 1 and not set(np.unique(gray).tolist()) <= _known(labels):
        return gray * np.uint8(raster.step)
    return _whole_numbers(raster.path, gray)


def _whole_numbers(path: Path, ids: NDArray[Any]) -> NDArray[Any]:
    """Label ids as signed integers, of floats too if they are whole but for rounding (1.0000001)."""
    ids = whole_numbers(path, ids)
    low, high = ids.min().item(), ids.max().item()
    if max(-low, high) > _LARGEST_ID:
        raise FileError(path, "label ids up to 65535", f"{int(high)}", "number the classes from 0")
    usual = np.iinfo(np.int32)
    return ids.astype(np.int32 if usual.min <= low and high <= usual.max else np.int64, copy=False)


def _of_levels(raster: Raster, samples: NDArray[Any], labels: LabelSpace, threshold: int) -> NDArray[np.int32]:
    """Ids of a mask of gray levels: the second class above the threshold, the first elsewhere."""
    if raster.palette is not None:
        indices = samples[..., 0]  # as `write_label` writes them
        levels = indices if raster.has_colours else raster.palette[indices, 0]
    elif samples.shape[2] == 3:
        levels = np.asarray(Image.fromarray(_eight_bits(samples)).convert("L"))
    else:
        levels = samples[..., 0] * np.uint8(raster.step) if raster.step > 1 else samples[..., 0]
    bright = levels > threshold
    if levels.any() and not bright.any():
        found = f"no level above {threshold}, the highest is {levels.max():g}"
        fix = f"store the mask with {labels.ids[0]} for {labels.names[0]} and {labels.ids[1]} for {labels.names[1]}"
        raise FileError(raster.path, f"white where '{labels.names[1]}' is", found, fix)
    return np.where(bright, *map(np.int32, reversed(labels.ids)))


def _of_indices(raster: Raster, indices: NDArray[Any], palette: NDArray[np.uint8], labels: LabelSpace) -> NDArray[Any]:
    """Ids of indices into a palette of the file's own.

    The indices are the ids where the palette has the label space's colours for them. Else the colours say what the
    pixels are, if they are all known; or black and white (see `Raster.as_bits`). Else the indices are ids again, if
    the palette just makes them visible: in one colour or rising gray, or because the label space has no colours of its
    own.
    """
    used = np.flatnonzero(counts_of(indices, len(palette))).tolist()
    colours = {index: _colour(palette[index]) for index in used}
    expected = dict(zip(labels.ids, labels.palette, strict=True))
    agrees = all(expected.get(index, colour) == colour for index, colour in colours.items())
    are_ids = set(used) <= _known(labels)
    if are_ids and agrees:
        return indices
    known = _ids_of_colours(labels)
    tells = (palette != palette[0]).any() and len(set(colours.values())) == len(colours)
    if tells and set(colours.values()) <= known.keys():
        table = np.zeros(len(palette), dtype=np.int32)
        table[used] = [known[colours[index]] for index in used]
        ids: NDArray[Any] = table[indices]
        return ids
    is_free = labels.palette == default_palette(len(labels))
    if is_free and (bits := raster.as_bits(indices, used)) is not None:
        return _of_gray(*bits, labels)
    if are_ids and (not tells or _rising_gray(palette[used]) or is_free):
        return indices
    odd = {index: colour for index, colour in colours.items() if known.get(colour) != index}
    found = ", ".join(f"index {index} in {colour}" for index, colour in list(odd.items())[:5])
    fix = "give the mask the colours of the palette in dataset.json, or take the palette out: indices are then ids"
    raise FileError(raster.path, f"the palette's colours {_listed(expected)}", found, fix)


def _of_colours(path: Path, pixels: NDArray[Any], labels: LabelSpace) -> NDArray[Any]:
    """Ids of palette colours, (H, W, 3) to (H, W); gray of the ignore id's value is the ignore id.

    A picture in which all is gray, of no other levels than ids, shows ids.
    """
    known_ids = _ids_of_colours(labels)
    if pixels.dtype == np.uint16 and not (pixels % 257).any():
        pixels = _eight_bits(pixels)  # 8-bit colours stored with 16
    if pixels.dtype != np.uint8:
        fix = "save the mask with 8 bits per channel, or store it as class ids"
        raise FileError(path, f"the palette's colours {sorted(known_ids)}", f"colours of {pixels.dtype}", fix)
    ids = np.empty(pixels.shape[:2], dtype=np.min_scalar_type(max(known_ids.values())))
    unknown: set[int] = set()
    for rows in blocks(ids.shape):
        codes = pixels[rows].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        known = np.zeros(codes.shape, dtype=bool)
        for (red, green, blue), identifier in known_ids.items():
            found = codes == (red << 16 | green << 8 | blue)
            ids[rows][found] = identifier
            known |= found
        if not known.all():
            unknown |= set(np.unique(codes[~known]).tolist())
    if unknown and (pixels == pixels[..., :1]).all() and set(np.unique(pixels).tolist()) <= _known(labels):
        return pixels[..., 0]  # ids that were saved as gray colours
    if unknown:
        colours = [(v >> 16, v >> 8 & 255, v & 255) for v in sorted(unknown)[:5]]
        fix = "add the colours to the palette in dataset.json, or store the mask as class ids"
        if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
            fix = "save masks as PNG: JPEG and WebP change their colours"
        raise FileError(path, f"the palette's colours {sorted(known_ids)}", f"also {colours}", fix)
    return ids


def _known(labels: LabelSpace) -> set[int]:
    """All ids, the ignore id among them."""
    return {*labels.ids, *(() if labels.ignore_id is None else (labels.ignore_id,))}


def _ids_of_colours(labels: LabelSpace) -> dict[Colour, int]:
    """Id of each colour; gray of the ignore id's value is the ignore id."""
    ids = {colour: i for i, colour in zip(labels.ids, labels.palette, strict=True)}
    if labels.ignore_id is not None and 0 <= labels.ignore_id <= 255:
        ids.setdefault((labels.ignore_id,) * 3, labels.ignore_id)
    return ids


def _rising_gray(colours: NDArray[np.uint8]) -> bool:
    """Whether the colours (N, 3) are gray, each brighter than the one before."""
    return bool((colours == colours[:, :1]).all() and (np.diff(colours[:, 0].astype(int)) > 0).all())


def _colour(row: NDArray[np.uint8]) -> Colour:
    red, green, blue = map(int, row)
    return red, green, blue


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The high bytes."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _listed(expected: dict[int, Colour]) -> str:
    return ", ".join(f"{colour} for {identifier}" for identifier, colour in list(expected.items())[:5])
