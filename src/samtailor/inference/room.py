"""Room for the class probabilities of a whole case, which may be larger than the memory."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samtailor.files import reserve

_IN_MEMORY = 1 << 30  # bytes


def room_for(shape: tuple[int, ...], scratch: Path | None = None) -> NDArray[np.float16]:
    """An array in a nameless file in `scratch`, which vanishes with it.

    Without `scratch` it is in memory, and only what would take more than a gigabyte in the folder of temporary files.

    Raises:
        FileError: If there is no room.
    """
    size = math.prod(shape) * 2
    if scratch is None:
        if size <= _IN_MEMORY:
            return np.empty(shape, np.float16)
        scratch = Path(tempfile.gettempdir())
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as file:  # the mapping keeps the file until it is dropped itself
        reserve(file, size, scratch)
        return np.memmap(file, np.float16, "w+", shape=shape)
