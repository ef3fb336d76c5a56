"""Steps between a case's file values and the scaling to [0, 1]; one file each, listed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from samtailor.data.steps.bilateral import BilateralDenoising
from samtailor.data.steps.dncnn import DnCNNDenoising
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.data.steps.median import MedianDenoising
from samtailor.data.steps.nlm import NonLocalMeansDenoising
from samtailor.data.steps.step import PreprocessingStep
from samtailor.kinds import Steps

STEPS: dict[str, type[PreprocessingStep]] = {
    "gaussian": GaussianDenoising,
    "median": MedianDenoising,
    "bilateral": BilateralDenoising,
    "nlm": NonLocalMeansDenoising,
    "dncnn": DnCNNDenoising,
}
"""The steps by their names in settings and files."""

DENOISE = Steps("denoise", STEPS, nested=False)

Denoise = Annotated[str | Sequence[PreprocessingStep | Mapping[str, Any]], DENOISE]
"""A setting that names steps, or holds them."""
