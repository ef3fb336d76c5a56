"""Corruptions of computed tomography."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from samtailor.data.corruptions.corruption import Corruption, Image, Plane, normal

_FIELD = 350.0  # mm that the longer side of a slice without spacing is taken to show: a usual abdominal scan
_WATER = 0.02  # attenuation of water in 1/mm at about 70 keV
_BODY = 0.25  # in the robust range, whose lower end is air: what is above attenuates
_CUTOFF = 0.45  # cycles per mm at which a soft kernel's window has fallen to 1/e
_COARSE = 64  # side of the image whose paths of rays are followed
_ANGLES = 12
_DIRECTIONS = 90  # of a half turn, between which the strength of streaks changes
_FADING = 30.0  # mm from the centre of streaks to half their strength


class LowDose(Corruption):
    """Quantum noise as filtered backprojection shows it; levels are its mean standard deviation in the body.

    It has the texture of a ramp filter with a soft kernel's window (noise power proportional to f exp(-(f / f0)^2);
    Kijewski and Judy, Phys Med Biol 1987), and is strongest where rays have lost most: the variance of a pixel is the
    mean over the rays through it of exp(line integral of the attenuation), of which a bow-tie filter takes half of the
    exponent away.
    """

    levels = (0.02, 0.04, 0.065, 0.1, 0.14)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add it, to all channels alike."""
        spacing = _spacing(plane)
        white = normal(plane.own, *plane.size)
        rows, columns = np.fft.fftfreq(plane.size[0], spacing[0]), np.fft.rfftfreq(plane.size[1], spacing[1])
        frequency = np.hypot(rows[:, None], columns)
        amplitude = np.sqrt(frequency) * np.exp(-((frequency / _CUTOFF) ** 2) / 2)  # root of the power
        shaped = np.fft.irfft2(np.fft.rfft2(white) * amplitude, plane.size)
        noise: Image = (shaped / max(float(shaped.std()), 1e-6)).astype(np.float32)
        return plane.image + level * noise * relative_noise(plane.signal.mean(axis=0), spacing)


class Streaks(Corruption):
    """Streaks that run from something very dense through the slice, as from metal; levels are their strength there."""

    levels = (0.1, 0.2, 0.35, 0.55, 0.8)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add dark and bright ones, through one of the brightest pixels, that fade with the distance from it."""
        density = plane.image.mean(axis=0)
        dense = np.argwhere(density >= np.percentile(density, 99))
        centre = dense[plane.own.integers(len(dense))]
        y, x = ((np.arange(n) - at) * step for n, at, step in zip(plane.size, centre, _spacing(plane), strict=True))
        distance = np.hypot(y[:, None], x[None, :])
        # A streak goes on behind the centre: its strength is a function of the direction modulo a half turn.
        turn = np.mod(np.arctan2(y[:, None], x[None, :]), np.pi) / np.pi
        known = normal(plane.own, _DIRECTIONS)
        strength = np.interp(turn, np.linspace(0, 1, _DIRECTIONS + 1), np.append(known, known[:1]))
        streaks: Image = (level * strength / (1 + distance / _FADING)).astype(np.float32)
        return plane.image + streaks


class Rings(Corruption):
    """Rings around the middle, of detector elements out of tune; levels are the standard deviation of the strong ones.

    One element in twelve is far off, the others by a tenth of that. Slices have elements of their own.
    """

    levels = (0.05, 0.1, 0.16, 0.24, 0.35)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add them, as wide as a pixel."""
        y, x = (np.arange(n) - (n - 1) / 2 for n in plane.size)
        radius = np.hypot(y[:, None], x[None, :])
        elements = 2 + int(radius.max())
        gain = normal(plane.own, elements) * np.where(plane.own.random(elements) < 1 / 12, 1.0, 0.1)
        rings: Image = (level * np.interp(radius, np.arange(elements), gain)).astype(np.float32)
        return plane.image + rings


def _spacing(plane: Plane) -> tuple[float, float]:
    """Distance of rows and columns in mm; of pictures, as if they showed a usual field of view."""
    step = _FIELD / max(plane.size)
    return plane.spacing or (step, step)


def relative_noise(density: Image, spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Standard deviation of the noise of each pixel (H, W), 1 on the average over the body.

    Args:
        density: 0 for air, (H, W); the median of what is above 0.25 is taken for water.
        spacing: Distance of rows and columns in mm.
    """
    from scipy.ndimage import rotate, zoom

    body = density > _BODY
    if not body.any():
        return np.ones_like(density)
    size = density.shape
    # Square pixels, so that turning the image keeps lengths.
    lengths = [n * step for n, step in zip(size, spacing, strict=True)]
    step = max(lengths) / _COARSE
    shape = [max(1, round(length / step)) for length in lengths]
    water = float(np.median(density[body]))
    factors = [new / old for new, old in zip(shape, size, strict=True)]
    attenuation = zoom(density, factors, order=1, grid_mode=True, mode="nearest") * (_WATER * step / water)
    variance = np.zeros_like(attenuation)
    side = int(np.ceil(np.hypot(*attenuation.shape)))
    margins = [((side - n) // 2, side - n - (side - n) // 2) for n in attenuation.shape]
    inside = tuple(slice(first, first + n) for (first, _), n in zip(margins, attenuation.shape, strict=True))
    padded = np.pad(attenuation, margins)
    for angle in np.arange(_ANGLES) * (180 / _ANGLES):
        paths = rotate(padded, angle, reshape=False, order=1).sum(axis=0)
        fan = np.broadcast_to(np.exp(paths / 2), padded.shape)
        variance += rotate(fan, -angle, reshape=False, order=1, mode="nearest")[inside]
    deviation = np.sqrt(variance)
    back = [old / new for new, old in zip(deviation.shape, size, strict=True)]
    fine: NDArray[np.float32] = zoom(deviation, back, order=1, grid_mode=True, mode="nearest")[: size[0], : size[1]]
    return fine / float(fine[body].mean())
