"""How a user says what becomes of file intensities; light, for the command line asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IntensityName = Literal["auto", "window", "percentile", "range"]


@dataclass(frozen=True)
class IntensityConfig:
    """How file intensities become [0, 1].

    Attributes:
        kind: 'auto' takes the CT window for channels called CT, the full range for 8-bit pictures, percentiles
            for everything else.
        values: Level and width of the window, or low and high of range or percentile; the kind's default if None.
    """

    kind: IntensityName = "auto"
    values: tuple[float, float] | None = None
