"""Label ids that a file keeps as floats, or that rounding has moved away from whole numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.errors import FileError

_ROUNDING = 1e-3  # of labels that arithmetic has touched; what lies farther from a whole number is a mixture of ids
_FLOATS = 2.5e-7  # relative, of two roundings to single precision
_LARGEST_ID = 1 << 53  # whole numbers beyond are not all doubles
_EXAMPLES = 3


def whole_numbers(path: Path, values: NDArray[Any], step: float = 0.0) -> NDArray[Any]:
    """The whole numbers that the values (..., H, W) of a label are but for rounding, in the smallest usual type.

    Args:
        path: File, for the error.
        values: Integers, which are given back, or floats.
        step: Difference of neighbouring values, where the file keeps integers and multiplies them by a slope: a whole
            number was then stored as the nearest multiple.

    Raises:
        FileError: If there are fractions, or numbers that are not finite; names them.
    """
    if values.dtype.kind in "iu":
        return values
    with np.errstate(invalid="ignore"):
        largest = max(float(abs(values.min())), float(abs(values.max())))
    ids = np.empty(values.shape, np.int32 if largest < np.iinfo(np.int32).max else np.int64)
    others, examples = 0, set[str]()
    for part in blocks(values.shape):
        block = values[part]
        with np.errstate(invalid="ignore"):
            whole = np.rint(block)
            sound = np.isclose(block, whole, rtol=_FLOATS, atol=_ROUNDING + step / 2) & (np.abs(whole) < _LARGEST_ID)
        ids[part] = np.where(sound, whole, 0)
        if wrong := int(block.size - sound.sum()):
            others += wrong
            examples |= {_digits(value) for value in np.unique(block[~sound])[:_EXAMPLES]}
    if others:
        shown = sorted(examples, key=lambda value: (value == "nan", float(value)))[:_EXAMPLES]
        found = f"{others} other values ({', '.join(shown)}{', ...' if len(examples) > _EXAMPLES else ''})"
        fix = "store the label as integers (resample it with nearest neighbours)"
        raise FileError(path, "integer label ids", found, fix)
    return ids


def _digits(value: np.floating[Any]) -> str:
    """All digits of a number of its precision: a fraction must not look like an id."""
    return f"{value:.0f}" if value.is_integer() else str(value)
