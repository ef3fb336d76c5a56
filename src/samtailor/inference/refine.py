"""Correcting a class-aware result with prompts: points, boxes and masks, each for one class in one slice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import DataWarning
from samtailor.inference.predictor import Predictor, group_of
from samtailor.inference.probable import around, object_of, touching
from samtailor.inference.prompt import Prompt, pixels_at
from samtailor.inference.prompted import PromptedMasks
from samtailor.inference.result import Result


def refine(predictor: Predictor, result: Result, prompts: Sequence[Prompt]) -> Result:
    """The result with the prompted classes corrected where their prompts touch something; all else stays.

    A segmenter that was trained with prompts draws the object: a box, with a margin, and a rough mask give the class
    to what is connected with them and take it from there; points on the object give, points beside it take. One that
    was trained without has forgotten prompts, and goes by its class probabilities (see `object_of`). A click that
    nothing drawn answers changes what belongs to it by these probabilities (see `around`). What a class loses goes to
    the next most probable one. Prompts count in order.

    Args:
        predictor: Applies the segmenter that gave the result.
        result: Class-aware result of the case.
        prompts: Corrections.

    Returns:
        A new result, without probabilities: they no longer belong to the label.

    Raises:
        DataError: If a prompt's class, slice or coordinates do not fit the result.
    """
    for prompt in prompts:
        prompt.require_fit(result.labels, result.label.shape)
    masks = None if predictor.model.practice.prompts == "none" else PromptedMasks(predictor, result)
    if masks is None:
        warnings.warn(
            "prompts: expected a segmenter that was trained with some, found one that was trained without: it goes by "
            "its class probabilities; to have objects drawn from prompts train with --prompt_fraction 0.25",
            DataWarning,
            stacklevel=2,
        )

    # Prompts for several classes mostly speak of the same slice: it is segmented once.
    @lru_cache(maxsize=4)
    def probabilities_of(index: int) -> NDArray[np.float16]:
        group = group_of(index, len(result.label), predictor.model.group)  # the segmenter looks at them together
        return predictor.probabilities(result.slices[group[0] : group[-1] + 1])[:, index - group[0]]

    label = result.label.copy()
    for prompt in prompts:
        class_id = result.labels.names.index(prompt.name)
        plane = label[prompt.slice]
        on, beside = (pixels_at(points, plane.shape) for points in (prompt.points, prompt.not_points))
        shown = prompt.shown(plane.shape)
        if masks is not None:
            inside, there = masks.of(prompt, plane.shape)
        else:
            inside, there = object_of(prompt, probabilities_of(prompt.slice)[class_id])
        given = touching(there, shown | on)
        taken = touching(inside & (plane == class_id) & ~there, shown | beside)
        for row, column in np.argwhere(on & (plane != class_id) & ~given):
            given |= around(row, column, plane, probabilities_of(prompt.slice)[class_id])
        for row, column in np.argwhere(beside & (plane == class_id) & ~taken):
            others = _without(class_id, probabilities_of(prompt.slice))
            taken |= around(row, column, plane, others[others[:, row, column].argmax()])
        if taken.any():
            plane[taken] = _without(class_id, probabilities_of(prompt.slice)[:, taken]).argmax(axis=0)
        plane[given & ~taken] = class_id
    return replace(result, label=label, probabilities=None)


def _without(class_id: int, probabilities: NDArray[np.float16]) -> NDArray[np.float16]:
    """Probabilities (K, ...) in which a class is never the most probable one."""
    others = probabilities.copy()
    others[class_id] = -1
    return others


def redraw(predictor: Predictor, result: Result) -> Result:
    """The result with every object of its label, which may have been corrected, drawn again by the second passes.

    Args:
        predictor: Applies the segmenter that gave the result, with second passes among its refinement.
        result: Result of the case.

    Returns:
        A new result, without probabilities: they no longer belong to the label.
    """
    for member in predictor.members:
        member.rough = result.label
    label = predictor.label(result.slices, result.case.geometry.spacing)
    return replace(result, label=label, probabilities=None)
