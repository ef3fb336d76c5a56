"""Estimating a training before it is started."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from samtailor.settings import takes
from samtailor.training.settings import EstimateConfig

if TYPE_CHECKING:
    from samtailor.training.estimate_report import Estimate

LOG = logging.getLogger("samtailor")


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
    from samtailor.training.resolve import scheduled

    if (timed := scheduled(config)) != config:
        LOG.info("Of 20 epochs; without a GPU, and without --epochs, train takes --time %s", timed.time)
    return estimate_training(config)
