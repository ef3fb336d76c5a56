"""Steps between a case's file values and the scaling to [0, 1]; one file each, listed here."""

from __future__ import annotations

from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.data.steps.step import PreprocessingStep

STEPS: dict[str, type[PreprocessingStep]] = {"gaussian": GaussianDenoising}
"""The steps by their names in settings and files."""
