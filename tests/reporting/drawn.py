"""What can be seen of a figure."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from samtailor.reporting.figures import png
from tests.evaluation.examples import LABELS


def pixels(figure: Figure) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))


def is_colour(drawn: NDArray[np.uint8], index: int) -> NDArray[np.bool_]:
    return (np.abs(drawn.astype(int) - LABELS.palette[index]) <= 12).all(axis=-1)
