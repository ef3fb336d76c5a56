"""What is searched for each step: the values of its settings, one table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from samtailor.errors import ConfigError
from samtailor.refinement import STEPS
from samtailor.refinement.step import SecondPass, Step

SPACES: dict[str, Mapping[str, tuple[Any, ...]]] = {
    "outline": {
        "points": (0, 4, 8, 16),
        "box": (True, False),
        "mask": (True, False),
        "weight": (0.25, 0.5, 0.75),
    },
    "crf": {
        "gaussian_weight": (1.0, 3.0),
        "gaussian_width": (1.0, 3.0),
        "bilateral_weight": (2.0, 5.0, 10.0),
        "bilateral_width": (10.0, 30.0, 60.0),
        "bilateral_intensity": (0.03, 0.05, 0.1, 0.2),
    },
    "level-set": {
        "method": ("geodesic", "chan-vese", "itk-geodesic"),
        "iterations": (5, 20, 50),
        "band": (1.0, 3.0, 5.0),
        "smoothing": (0, 1, 2),
    },
    "fill-holes": {},
    "smallest": {"size": (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)},
    "largest-component": {},
}
"""Values of the settings that are tried, by step; all others keep their defaults."""

USUAL = ("crf", "level-set", "fill-holes", "smallest", "largest-component")
"""Steps that are tried where nobody names some; what the network draws again takes a segmenter trained for it."""

LOG = logging.getLogger("samtailor")


def require_candidates(names: Sequence[str]) -> None:
    """Refuse names that are no step, a step twice, and what the network draws again after what changes the label."""
    for place, name in enumerate(names):
        if name not in SPACES:
            raise ConfigError(f"candidates: expected some of {', '.join(SPACES)}; found '{name}'")
        if name in names[:place]:
            raise ConfigError(f"candidates: expected each step once, found {name} twice; leave one out")
        if place and issubclass(STEPS[name], SecondPass) and not issubclass(STEPS[names[place - 1]], SecondPass):
            raise ConfigError(
                f"candidates: expected what the network draws again first, then what changes it; found {name} after "
                f"{names[place - 1]}"
            )


def settings_of(name: str, most: int, seed: int) -> list[Step]:
    """A step with the settings to try: its defaults first, then all others of the space, or a random choice of them.

    Args:
        name: The step.
        most: How many at most.
        seed: Of the choice.
    """
    kind, space = STEPS[name], SPACES[name]
    default = kind()
    grid: list[Step] = []
    for values in product(*space.values()):
        try:
            grid.append(kind(**dict(zip(space, values, strict=True))))
        except ConfigError:  # values that do not go together
            continue
    others = [step for step in grid if step != default]
    if len(others) >= most:
        chosen = np.random.default_rng(seed).choice(len(others), most - 1, replace=False)
        others = [others[index] for index in sorted(chosen)]
    return [default, *others]


def ready(steps: Sequence[Step]) -> list[Step]:
    """Those that can work here; what the others lack is told."""
    found, lacks = [], dict[str, None]()
    for step in steps:
        try:
            step.require_ready()
            found.append(step)
        except ConfigError as error:
            lacks[str(error)] = None
    for lack in lacks:
        LOG.info("Not tried: %s", lack)
    return found
