"""Steps between the network's first pass and the label; one file each, listed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import samtailor.kinds as kinds
from samtailor.errors import ConfigError
from samtailor.kinds import Steps
from samtailor.refinement.dense_crf import DenseCrf
from samtailor.refinement.fill_holes import FillHoles
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.level_set import LevelSet
from samtailor.refinement.outline import Outline
from samtailor.refinement.smallest import Smallest
from samtailor.refinement.step import RefinementStep, SecondPass, Step

STEPS: dict[str, type[Step]] = {
    "outline": Outline,
    "largest-component": LargestComponent,
    "crf": DenseCrf,
    "level-set": LevelSet,
    "fill-holes": FillHoles,
    "smallest": Smallest,
}
"""The steps by their names in settings and files."""

REFINE = Steps("refine", STEPS, nested=True)

Refine = Annotated[str | Sequence[Step | Mapping[str, Any]], REFINE]
"""A setting that names steps, or holds them."""


def chosen_refinement(refine: Refine | None) -> tuple[Step, ...] | None:
    """The steps of a setting, which can all work here; None stays None: what the segmenter has saved.

    Raises:
        ConfigError: If there is no such step, something is not installed that it needs, or a second pass comes after
            what changes the label.
    """
    if refine is None:
        return None
    steps = REFINE.chosen(refine)
    for place, step in enumerate(steps):
        step.require_ready()
        if place and isinstance(step, SecondPass) and not isinstance(steps[place - 1], SecondPass):
            found = f"{told([step])} after {told([steps[place - 1]])}"
            raise ConfigError(
                f"refine: expected what the network draws again first, then what changes it; found {found}"
            )
    return steps


def told(steps: Sequence[Step]) -> str:
    """The names of steps, joined by commas; 'none' if there are none."""
    names = {kind: name for name, kind in STEPS.items()}
    return ",".join(names[type(step)] for step in steps) or "none"


def to_plain(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as `segmenter.json` holds them."""
    return [kinds.to_json(step, STEPS) for step in steps]


def require_no_label_steps(steps: Sequence[Step]) -> None:
    """Refuse steps that change the label, behind which offsets of the class logits cannot be tuned.

    Raises:
        ConfigError: Naming them.
    """
    if found := [step for step in steps if isinstance(step, RefinementStep)]:
        raise ConfigError(
            f"refine: expected a segmenter without steps that change its label where the class bias is tuned, found "
            f"{told(found)}; train without --refine, tune the bias, then find the steps with samtailor "
            "tune-refinement"
        )
