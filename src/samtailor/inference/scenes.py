"""Segmenting scenes: read window by window, written band of rows by band of rows, never held as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats import is_scene, open_scene
from samtailor.data.intensity import Scaled
from samtailor.data.polygons import Ground, polygon_file
from samtailor.data.scene import Scene
from samtailor.inference.inputs import Job, Wanted, require_there
from samtailor.inference.predictor import Band, Predictor
from samtailor.labels import IGNORE, LabelSpace


def is_streamed(predictor: Predictor, job: Job) -> bool:
    """Whether an image is segmented without being held: what looks at all of it, before or after, forbids that."""
    return is_scene(job.file) and not predictor.refinement and not predictor.model.preprocessing.steps


def segment_scene(predictor: Predictor, job: Job, wanted: Wanted) -> None:
    """Segment a scene and write what is wanted of it: all files appear, the label last, or none does."""
    require_there(job)
    preprocessing, labels = predictor.model.preprocessing, predictor.model.labels
    with open_scene(job.files, preprocessing.channel_choice) as scene:
        slices = preprocessing.prepare_scene(scene)
        bands = predictor.bands(slices, probabilities=wanted.probabilities, certainty=wanted.polygons is not None)
        _write(scene, slices, _without_void(scene, bands), labels, job, wanted)


def _without_void(scene: Scene, bands: Iterable[Band]) -> Iterator[Band]:
    """The bands, labelled `IGNORE` where the scene holds nothing; refused if it does so everywhere."""
    known = 0
    for band in bands:
        void = scene.void(band.rows)
        if void is not None:
            band.label[void] = IGNORE
        known += int((band.label != IGNORE).sum())
        yield band
    scene.require_pixels(known)


def _write(scene: Scene, slices: Scaled, bands: Iterable[Band], labels: LabelSpace, job: Job, wanted: Wanted) -> None:
    """Write all bands of a scene, which come from top to bottom."""
    # Only who asks for a figure pays for matplotlib.
    from samtailor.reporting.view import step_of

    step = step_of(scene.shape[2:])
    shown: list[NDArray[np.int16]] = []
    with ExitStack() as files:  # those opened last appear first
        geometry, optimised = scene.geometry, wanted.cloud_optimised
        label = files.enter_context(geometry.label_writer(job.target, labels, optimised))
        probabilities = None
        if wanted.probabilities:
            kept = wanted.probability_type
            writer = geometry.probability_writer(job.probabilities_file, labels, kept, optimised)
            probabilities = files.enter_context(writer)
        polygons = None
        if drawing := wanted.polygons:
            place, path = Ground.of(job.file, geometry), job.polygons_file(drawing)
            polygons = files.enter_context(polygon_file(path, place, scene.shape[3], labels, drawing))
        for band in bands:
            first = band.rows.start
            label.write(first, band.label)
            if probabilities is not None and band.probabilities is not None:
                probabilities.write(first, band.probabilities, band.label == IGNORE)
            if polygons is not None:
                polygons.write(band.label, band.certainty)
            if wanted.overlay:
                shown.append(band.label[-first % step :: step, ::step].copy())
        if wanted.overlay:
            _draw(slices, np.concatenate(shown), step, labels, job)


def _draw(slices: Scaled, label: NDArray[np.int16], step: int, labels: LabelSpace, job: Job) -> None:
    """Draw every n-th row and column of a label over those of its scene."""
    from samtailor.reporting.figures import save_figure
    from samtailor.reporting.overlay import overlay_figure
    from samtailor.reporting.view import View, drawn_channels

    drawn = slices[0][drawn_channels(slices.shape[1], is_picture=True)]
    view = View(np.asarray(drawn[..., ::step, ::step]), label)
    save_figure(overlay_figure(view, labels, job.files.name), job.overlay_file)
