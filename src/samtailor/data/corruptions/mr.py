"""Corruptions of magnetic resonance imaging.

MONAI has the first two, but for whole volumes in memory, and with random numbers of an older kind. They are the same
formulas; a test holds the field to MONAI's.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from samtailor.data.corruptions.corruption import Corruption, Image, Plane, normal

_DEGREE = 3
_GHOSTS = (2, 5)
_CENTRE = 0.02  # part of the lines in the middle of k-space that stay as they are


class RicianNoise(Corruption):
    """Magnitude of a complex signal with noise (Gudbjartsson and Patz 1995); levels are its standard deviation."""

    levels = (0.02, 0.04, 0.07, 0.11, 0.16)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add noise to the real and the imaginary part: dark regions become brighter."""
        real, imaginary = level * normal(plane.own, 2, *plane.image.shape)
        magnitude: Image = np.hypot(plane.signal + real, imaginary)
        return magnitude


class BiasField(Corruption):
    """A coil that does not see all places alike (van Leemput et al. 1999): smooth in the volume, slices included.

    The signal is multiplied by the exponential of Legendre polynomials up to degree 3, whose coefficients are drawn
    evenly; levels are their largest.
    """

    levels = (0.1, 0.2, 0.3, 0.45, 0.6)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Multiply the slice by its part of the field."""
        coefficients: NDArray[np.float64] = plane.shared.uniform(-level, level, (_DEGREE + 1,) * 3)
        degrees = np.indices(coefficients.shape).sum(axis=0)
        coefficients[(degrees > _DEGREE) | (degrees == 0)] = 0
        in_slice = np.asarray(legendre.legval(plane.height, coefficients))
        y, x = (np.linspace(-1, 1, n) for n in plane.size)
        field = np.expm1(legendre.leggrid2d(y, x, in_slice)).astype(np.float32)
        return plane.image + plane.signal * field


class Ghosting(Corruption):
    """Copies of the image along the rows' axis, of motion between the lines of k-space.

    Every second to fourth line has lost a part of its signal (as in TorchIO's RandomGhosting); levels are that part.
    """

    levels = (0.2, 0.35, 0.5, 0.65, 0.8)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Weaken the lines, but for those in the middle."""
        rows = plane.size[0]
        lines = np.fft.fftfreq(rows)
        weights = np.ones(rows)
        weights[:: plane.shared.integers(*_GHOSTS)] = 1 - level
        weights[np.abs(lines) <= _CENTRE / 2] = 1
        spectrum = np.fft.fft(plane.signal, axis=1) * weights[:, None]
        return plane.image + (np.abs(np.fft.ifft(spectrum, axis=1)) - plane.signal).astype(np.float32)
