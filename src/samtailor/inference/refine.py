"""Correcting a class-aware result with prompts: points, boxes and masks, each for one class in one slice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.errors import DataWarning
from samtailor.inference.predictor import Predictor
from samtailor.inference.probable import around, object_of, touching
from samtailor.inference.prompt import Mask, Prompt, pixels_at
from samtailor.inference.prompted import PromptedMasks
from samtailor.inference.result import Result
from samtailor.labels import LabelSpace


class Corrections:
    """Corrects labels of one case by prompts; what the segmenter makes of a slice is computed once, and kept.

    For programs that ask again and again; `refine` is one go of it.

    Attributes:
        draws: Whether the segmenter draws objects that are prompted for. One that was trained without prompts has
            forgotten them, and goes by its class probabilities.
    """

    def __init__(self, predictor: Predictor, slices: Slices, labels: LabelSpace) -> None:
        """Correct labels of a case by a segmenter.

        Args:
            predictor: Applies the segmenter.
            slices: What the network sees of the case, (S, C, H, W).
            labels: The classes.
        """
        self._slices, self._labels = slices, labels
        self.draws = predictor.model.practice.prompts != "none"
        self._masks = PromptedMasks(predictor, slices) if self.draws else None
        # Prompts for several classes mostly speak of the same slice: it is segmented once.
        self._probabilities_of = lru_cache(maxsize=4)(
            lambda index: predictor.probabilities(slices, range(index, index + 1))[:, 0]
        )

    def prepare(self, index: int) -> None:
        """Segment a slice, for clicks that nothing drawn answers: they need not wait for it then."""
        self._probabilities_of(index)

    def correct(self, plane: NDArray[np.int16], prompt: Prompt) -> None:
        """Correct a slice of a label in place, as `refine` says.

        Args:
            plane: Class indices of the prompt's slice, (H, W).
            prompt: The correction.

        Raises:
            DataError: If the prompt's class, slice or coordinates do not fit the case.
        """
        prompt.require_fit(self._labels, (len(self._slices), *plane.shape))
        class_id = self._labels.names.index(prompt.name)
        if self._masks is not None:
            inside, there = self._masks.of(prompt, plane.shape)
        else:
            inside, there = object_of(prompt, self._probabilities_of(prompt.slice)[class_id])
        given, taken = claimed(prompt, class_id, plane, inside, there)
        on, beside = (pixels_at(points, plane.shape) for points in (prompt.points, prompt.not_points))
        for row, column in np.argwhere(on & (plane != class_id) & ~given):
            given |= around(row, column, plane, self._probabilities_of(prompt.slice)[class_id])
        for row, column in np.argwhere(beside & (plane == class_id) & ~taken):
            others = _without(class_id, self._probabilities_of(prompt.slice))
            taken |= around(row, column, plane, others[others[:, row, column].argmax()])
        if taken.any():
            plane[taken] = _without(class_id, self._probabilities_of(prompt.slice)[:, taken]).argmax(axis=0)
        plane[given & ~taken] = class_id


def claimed(prompt: Prompt, class_id: int, plane: NDArray[np.int16], inside: Mask, there: Mask) -> tuple[Mask, Mask]:
    """What a prompt's object gives to its class in a slice, and what it takes from it, (H, W) each.

    Args:
        prompt: The prompt.
        class_id: Index of its class.
        plane: Class indices of the slice, (H, W).
        inside: Where the prompt speaks.
        there: Where it says that the object is.
    """
    on, beside = (pixels_at(points, plane.shape) for points in (prompt.points, prompt.not_points))
    shown = prompt.shown(plane.shape)
    return touching(there, shown | on), touching(inside & (plane == class_id) & ~there, shown | beside)


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
    corrections = Corrections(predictor, result.slices, result.labels)
    if not corrections.draws:
        warnings.warn(
            "prompts: expected a segmenter that was trained with some, found one that was trained without: it goes by "
            "its class probabilities; to have objects drawn from prompts train with --prompt_fraction 0.25",
            DataWarning,
            stacklevel=2,
        )
    label = result.label.copy()
    for prompt in prompts:
        corrections.correct(label[prompt.slice], prompt)
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
    label = predictor.label(result.slices, result.case.geometry.spacing, void=result.case.geometry.void)
    return replace(result, label=label, probabilities=None)
