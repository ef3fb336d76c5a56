"""Estimating a training before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samtailor.settings import takes
from samtailor.training.settings import EstimateConfig

if TYPE_CHECKING:
    from samtailor.training.estimate_report import Estimate


@takes(EstimateConfig)
def estimate(config: EstimateConfig) -> Estimate:
    """Measure how much memory and time a training takes on this machine, and what would make it fit.

    It takes the settings of train, so that it can stand in its place; nothing of the run is written.

    Returns:
        The given settings and alternatives, each measured in a process of its own.

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected.
    """
    from samtailor.training.estimation import estimate_training

    return estimate_training(config)
