"""Segmenting scenes: read window by window, written band of rows by band of rows, never held as a whole.

Several processes share a scene by its rows: each leaves the bands of its own in a file beside the result, and the first
process writes the result from these.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.data.case import SceneGeometry
from samtailor.data.formats import is_scene, open_scene, read_geometry, read_header
from samtailor.data.intensity import Scaled
from samtailor.data.polygons import Ground, polygon_file
from samtailor.data.scene import Scene, require_pixels
from samtailor.data.steps import STEPS as PREPROCESSING
from samtailor.errors import ConfigError, SamTailorError
from samtailor.files import atomic
from samtailor.inference.inputs import Job, Wanted, require_there
from samtailor.inference.predictor import Band, Predictor
from samtailor.inference.stitch import bands_of
from samtailor.inference.volumes import Tally, Volume
from samtailor.labels import IGNORE, LabelSpace
from samtailor.memory import available_memory
from samtailor.refinement import STEPS as REFINEMENT
from samtailor.reporting.view import step_of

_PEAK = 3  # bytes in memory for each of the image's while it is read
_LABEL = 4  # bytes of a pixel of the label, and of what a step makes of it

_LEAST_BANDS = 4
"""Of a part: the row of windows above it is computed twice, as it reaches into it."""


def is_streamed(predictor: Predictor, job: Job) -> bool:
    """Whether an image is segmented without being held: what looks at all of it, before or after, forbids that."""
    return is_scene(job.file) and not predictor.refinement and not predictor.model.preprocessing.steps


def require_room(predictor: Predictor, jobs: Sequence[Job]) -> None:
    """Refuse scenes that do not fit into memory where a step looks at all of them.

    Raises:
        ConfigError: Naming the steps, and a scene.
    """
    names = {kind: name for name, kind in (*REFINEMENT.items(), *PREPROCESSING.items())}
    steps = [names.get(type(step), "a step") for step in (*predictor.refinement, *predictor.model.preprocessing.steps)]
    for job in jobs if steps else ():
        if (needed := _needed(job)) > (free := available_memory()):
            way = "take --refine none" if predictor.refinement else "train without --denoise"
            raise ConfigError(
                f"{job.file}: expected a scene that fits into the {free / 1e9:.1f} GB of free memory, as all of it is "
                f"looked at by {', '.join(steps)}; found one that needs {needed / 1e9:.1f} GB; {way}, or cut it up"
            )


def _needed(job: Job) -> int:
    """Bytes that a scene takes where it is held with its label; 0 of what is none."""
    try:
        header = read_header(job.file) if is_scene(job.file) else None
    except (SamTailorError, OSError):  # it will fail where it is read
        header = None
    if header is None:
        return 0
    return math.prod(header.geometry.shape) * (_PEAK * header.bands * header.bits // 8 + _LABEL)


def divided(predictor: Predictor, jobs: Sequence[Job], processes: int) -> list[Job]:
    """The jobs, those of the last round divided by rows where they are scenes: every process has something to do."""
    rest = len(jobs) - len(jobs) % processes
    return [*jobs[:rest], *(part for job in jobs[rest:] for part in _parts(predictor, job, processes))]


def _parts(predictor: Predictor, job: Job, most: int) -> list[Job]:
    """A scene by rows; what is none, or too small, as it is."""
    if not is_streamed(predictor, job):
        return [job]
    try:
        _, height, width = read_geometry(job.file).shape
    except (SamTailorError, OSError):  # it will fail where it is segmented
        return [job]
    bands = bands_of(predictor.windows(height, width), height)
    count = max(1, min(most, len(bands) // _LEAST_BANDS))
    edges = [*(bands[len(bands) * part // count].start for part in range(count)), height]
    return [replace(job, rows=slice(*edge)) for edge in pairwise(edges)] if count > 1 else [job]


def segment_scene(predictor: Predictor, job: Job, wanted: Wanted) -> dict[str, Volume] | None:
    """Segment a scene and write what is wanted of it: all files appear, the label last, or none does.

    If it is a part of a scene, `join_scene` is to write the files.

    Returns:
        What the classes take of it, if that is wanted of a whole scene.
    """
    require_there(job)
    preprocessing = predictor.model.preprocessing
    with open_scene(job.files, preprocessing.channel_choice) as scene:
        slices = preprocessing.prepare_scene(scene)
        certainty = wanted.polygons is not None
        found = predictor.bands(slices, probabilities=wanted.softmax, rows=job.rows, certainty=certainty)
        bands = _without_void(scene, found)
        if job.rows is None:
            drawn_on = slices if wanted.pictures else None
            return _write_scene(scene, bands, predictor.model.labels, drawn_on, job, wanted)
        _leave(bands, _part_file(job))
        return None


def join_scene(predictor: Predictor, parts: Sequence[Job], wanted: Wanted) -> dict[str, Volume] | None:
    """Write what is wanted of a scene whose parts, from top to bottom, have been segmented; its volumes, if wanted."""
    preprocessing, job = predictor.model.preprocessing, parts[0]
    with open_scene(job.files, preprocessing.channel_choice) as scene:
        slices = preprocessing.prepare_scene(scene) if wanted.pictures else None
        bands = (band for part in parts for band in _left(_part_file(part), wanted))
        return _write_scene(scene, bands, predictor.model.labels, slices, job, wanted)


def write_whole(
    geometry: SceneGeometry,
    label: NDArray[np.int16],
    probabilities: NDArray[np.float16] | None,
    labels: LabelSpace,
    job: Job,
    wanted: Wanted,
) -> None:
    """Write what was found in a scene that had to be held, (1, H, W) and (K, 1, H, W), as if it came in bands.

    Polygons, which are drawn from all of it, are not among that.
    """
    void = geometry.void

    def bands() -> Iterator[Band]:
        for (rows,) in blocks(geometry.shape[1:]):
            assert isinstance(rows, slice)
            found = label[0, rows]
            if void is not None:
                found = np.where(void.where[0, rows], np.int16(IGNORE), found)
            yield Band(0, rows, found, None if probabilities is None else probabilities[:, 0, rows])

    _write(geometry, bands(), labels, None, job, replace(wanted, polygons=None))


def _without_void(scene: Scene, bands: Iterable[Band]) -> Iterator[Band]:
    """The bands, labelled `IGNORE` where the scene holds nothing."""
    for band in bands:
        void = scene.void(band.rows)
        if void is not None:
            band.label[void] = IGNORE
        yield band


def _write_scene(
    scene: Scene, bands: Iterable[Band], labels: LabelSpace, slices: Scaled | None, job: Job, wanted: Wanted
) -> dict[str, Volume] | None:
    """Write all bands of a scene as `_write` does, and count what the classes take of it, if that is wanted."""
    if not wanted.volumes:
        _write(scene.geometry, bands, labels, slices, job, wanted)
        return None
    tally = Tally(job.file, scene.geometry, labels, scene.shape[1])

    def counted() -> Iterator[Band]:
        for band in bands:
            pixels = scene.read(band.rows, slice(0, scene.shape[3])).pixels
            tally.add(0, band.rows.start, band.label, pixels)
            yield band

    _write(scene.geometry, counted(), labels, slices, job, wanted)
    return tally.volumes()


def _write(
    geometry: SceneGeometry,
    bands: Iterable[Band],
    labels: LabelSpace,
    slices: Scaled | None,
    job: Job,
    wanted: Wanted,
) -> None:
    """Write all bands of a scene, which come from top to bottom, and pictures if slices are given to draw them on."""
    step, known = step_of(geometry.shape[1:]), 0
    shown: list[NDArray[np.int16]] = []
    likely: list[NDArray[np.float16]] = []
    with ExitStack() as files:  # those opened last appear first
        label = files.enter_context(geometry.label_writer(job.target, labels, wanted.cog))
        probabilities = None
        if wanted.probabilities:
            writer = geometry.probability_writer(job.probabilities_file, labels, wanted.probability_type, wanted.cog)
            probabilities = files.enter_context(writer)
        polygons = None
        if drawing := wanted.polygons:
            place, path = Ground.of(job.file, geometry), job.polygons_file(drawing)
            polygons = files.enter_context(polygon_file(path, place, geometry.shape[2], labels, drawing))
        for band in bands:
            first = band.rows.start
            label.write(first, band.label)
            if probabilities is not None and band.probabilities is not None:
                probabilities.write(first, band.probabilities, band.label == IGNORE)
            if polygons is not None:
                polygons.write(band.label, band.certainty)
            if slices is not None:
                shown.append(band.label[-first % step :: step, ::step].copy())
                if wanted.heat_map and band.probabilities is not None:
                    likely.append(band.probabilities[:, -first % step :: step, ::step].copy())
            known += int(np.count_nonzero(band.label != IGNORE))
        require_pixels(job.file, known)
        if slices is not None:
            softmax = np.concatenate(likely, axis=1) if likely else None
            _draw(slices, np.concatenate(shown) if wanted.overlay else None, softmax, step, labels, job)


def _draw(
    slices: Scaled,
    label: NDArray[np.int16] | None,
    probabilities: NDArray[np.float16] | None,
    step: int,
    labels: LabelSpace,
    job: Job,
) -> None:
    """Draw every n-th row and column of a label, and of probabilities, over those of the scene."""
    # Only who asks for a figure pays for matplotlib.
    from samtailor.reporting.figures import save_figure
    from samtailor.reporting.heat_map import heat_map_figure, heat_maps
    from samtailor.reporting.overlay import overlay_figure
    from samtailor.reporting.view import View, drawn_channels

    drawn = slices[0][drawn_channels(slices.shape[1], is_picture=True)]
    image = np.asarray(drawn[..., ::step, ::step])
    if label is not None:
        save_figure(overlay_figure(View(image, label), labels, job.files.name), job.overlay_file)
    if probabilities is not None:
        maps = list(heat_maps(image[None], probabilities[:, None], labels.names, None))
        save_figure(heat_map_figure(maps, job.files.name), job.heat_map_file)


def _part_file(part: Job) -> Path:
    """Where the bands of a part of a scene are left."""
    assert part.rows is not None
    return part.parts_folder / f"{part.rows.start}.npy"


def _leave(bands: Iterable[Band], path: Path) -> None:
    """Write bands one after the other: first row, label, and what else there is of them."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        for band in bands:
            for array in (np.array(band.rows.start), band.label, band.probabilities, band.certainty):
                if array is not None:
                    np.save(file, array, allow_pickle=False)


def _left(path: Path, wanted: Wanted) -> Iterator[Band]:
    """The bands in a file that `_leave` wrote."""
    end = os.path.getsize(path)
    with path.open("rb") as file:
        while file.tell() < end:
            first, label = int(np.load(file)), np.load(file)
            probabilities = np.load(file) if wanted.softmax else None
            certainty = np.load(file) if wanted.polygons else None
            yield Band(0, slice(first, first + len(label)), label, probabilities, certainty)
