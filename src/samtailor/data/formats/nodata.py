"""Samples that stand for no data: by the file's own tag, or by the numbers that programs write without one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numbers that programs write where a sensor saw nothing, in pictures whose file does not say so.
_USUAL_NODATA = (-9999.0, -99999.0, -32768.0)
_BEYOND_DATA = 1e38  # next to the limit of single precision, the other usual one


def lacking(samples: NDArray[Any], nodata: float | None) -> tuple[NDArray[np.bool_] | None, str]:
    """Samples that stand for no data, None if there are none, and the word for it.

    Floats without a tag are looked at, too: their usual numbers are no measurements.

    Args:
        samples: Any shape, as stored.
        nodata: What the file's tag says.
    """
    floats = samples.dtype.kind == "f"
    if nodata is not None:
        value: Any = int(nodata) if nodata.is_integer() else nodata
        with np.errstate(over="ignore"):
            value = np.float64(value).astype(samples.dtype) if floats else value
        found, why = samples == value, f"nodata {nodata:g} by the file's tag"
    elif floats:
        found, why = np.isin(samples, _USUAL_NODATA), "the usual nodata numbers (-9999, -3.4e38, NaN), without a tag"
        if samples.dtype.itemsize > 2:
            found |= (np.abs(samples) > _BEYOND_DATA) & np.isfinite(samples)
    else:
        return None, ""
    if floats:
        found |= np.isnan(samples)
    return (found, why) if found.any() else (None, "")
