"""Small pictures for the list of cases."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from samtailor.page.shown_image import ShownImage

MOST = 160
"""Pixels along the longer side."""


def thumbnail(shown: ShownImage, spacing: tuple[float, float, float] | None) -> bytes:
    """PNG of the picture, or of the middle slice of a volume, as wide and high as it is in truth."""
    plane = shown.gray(len(shown.pixels) // 2)
    height, width = plane.shape[:2]
    if spacing is not None:
        height, width = round(height * spacing[1] / min(spacing[1:])), round(width * spacing[2] / min(spacing[1:]))
    scale = min(1.0, MOST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    step = max(1, min(plane.shape[0] // size[1], plane.shape[1] // size[0]) // 2)
    small = Image.fromarray(np.ascontiguousarray(plane[::step, ::step])).resize(size, Image.Resampling.BILINEAR)
    content = io.BytesIO()
    small.save(content, format="PNG")
    return content.getvalue()
