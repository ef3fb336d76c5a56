"""Segmenting many files: the next one is read and the last one written while the network computes.

plan -> jobs -> read ahead -> compute -> write behind. A file that cannot be read or written does not stop the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from samtailor.data.case import Case, SceneGeometry
from samtailor.errors import SamTailorError
from samtailor.inference.ahead import ahead
from samtailor.inference.inputs import Job, Wanted, read
from samtailor.inference.predictor import Predictor
from samtailor.inference.report import Failure, PredictReport
from samtailor.inference.result import Result, segment
from samtailor.inference.scenes import is_streamed, join_scene, segment_scene, write_whole
from samtailor.inference.volumes import CaseVolumes, Volume
from samtailor.progress import tracked

T = TypeVar("T")


def written_at(path: Path) -> int | None:
    """When a file was written; None if there is none."""
    return path.stat().st_mtime_ns if os.path.exists(path) else None


def joint_report(jobs: Sequence[Job], reports: Sequence[PredictReport]) -> PredictReport:
    """What came of the shares of all processes, in the order of the jobs; what nobody tells of counts as failed."""
    written = {path for report in reports for path in report.written}
    failures = {failure.file: failure for report in reports for failure in report.failures}
    lost = "its process has ended early; the same command with --skip_existing does what is not done"
    volumes = {one.case: one for report in reports for one in report.volumes}
    done = [job for job in jobs if job.target in written]
    return PredictReport(
        tuple(job.target for job in done),
        tuple(failures.get(job.file, Failure(job.file, lost)) for job in jobs if job.target not in written),
        volumes=tuple(volumes[job.files.name] for job in done if job.files.name in volumes),
    )


def predict_jobs(predictor: Predictor, jobs: Sequence[Job], wanted: Wanted) -> PredictReport:
    """Segment planned images; of three at most something is in memory: one is read, one computed, one written.

    Of a scene that is a few windows and bands of rows; it is read and written while it is computed.
    """
    if not jobs:  # fewer images than processes
        return PredictReport((), ())
    outcome = _Outcome()
    attempt = outcome.attempt
    channels = predictor.model.preprocessing.channel_choice
    writing: Future[None] | None = None
    with ThreadPoolExecutor(1) as writer:
        streamed = [is_streamed(predictor, job) for job in jobs]
        images = ahead(
            None if is_scene else attempt(job, partial(read, job, channels))
            for job, is_scene in zip(jobs, streamed, strict=True)
        )
        for job, is_scene, case in zip(tracked("inputs", jobs), streamed, images, strict=True):
            steps = None
            if is_scene:
                outcome.counted(job, attempt(job, partial(segment_scene, predictor, job, wanted)))
            elif case is not None and (computed := attempt(job, partial(_compute, predictor, job, case, wanted))):
                steps, volumes = computed
                outcome.counted(job, volumes)
            if writing is not None:
                writing.result()  # no more than one result waits for the disk; what nobody foresaw is raised
            writing = None if steps is None else writer.submit(attempt, job, partial(_write, steps))
        if writing is not None:
            writing.result()
    return outcome.report(jobs)


def join_jobs(
    predictor: Predictor, jobs: Sequence[Job], reports: Sequence[PredictReport], wanted: Wanted
) -> PredictReport:
    """Write the results of scenes of which all parts have been segmented, as the reports of the processes say.

    Args:
        predictor: What has segmented them.
        jobs: All that the processes have shared, parts and others.
        reports: What came of them.
        wanted: What is written.
    """
    failed = {failure.file for report in reports for failure in report.failures}
    parts: dict[Path, list[Job]] = {}
    for job in jobs:
        if job.rows is not None and job.file not in failed:
            parts.setdefault(job.target, []).append(job)
    outcome = _Outcome()
    for of_scene in parts.values():
        volumes = outcome.attempt(of_scene[0], partial(join_scene, predictor, of_scene, wanted))
        outcome.counted(of_scene[0], volumes)
    return outcome.report([replace(of_scene[0], rows=None) for of_scene in parts.values()])


class _Outcome:
    """What came of which job."""

    def __init__(self) -> None:
        self._failures: dict[Path, Failure] = {}
        self._volumes: dict[Path, CaseVolumes] = {}

    def counted(self, job: Job, volumes: dict[str, Volume] | None) -> None:
        """Keep what the classes of an image take, if that was asked for."""
        if volumes is not None:
            self._volumes[job.target] = CaseVolumes(job.files.name, volumes)

    def attempt(self, job: Job, work: Callable[[], T]) -> T | None:
        """What the work gives; None, and a failure, where something is wrong with the image or its place on disk."""
        try:
            return work()
        except (SamTailorError, OSError) as error:
            self._failures[job.target] = Failure(job.file, str(error).removeprefix(f"{job.file}: "))
            return None

    def report(self, jobs: Sequence[Job]) -> PredictReport:
        """What has been written, where parts of scenes are not, and what has not been."""
        written = [job.target for job in jobs if job.target not in self._failures and job.rows is None]
        volumes = tuple(self._volumes[target] for target in written if target in self._volumes)
        return PredictReport(tuple(written), tuple(self._failures.values()), volumes=volumes)


def _compute(
    predictor: Predictor, job: Job, case: Case, wanted: Wanted
) -> tuple[list[Callable[[], None]], dict[str, Volume] | None]:
    """What writes what is wanted of an image, and last its label, without holding the image; and its volumes."""
    geometry, drawing = case.geometry, wanted.polygons
    scratch = job.probabilities_file.parent if wanted.probabilities else job.target.parent
    result = segment(predictor, case, wanted.softmax or drawing is not None, scratch)
    volumes = result.volumes() if wanted.volumes else None
    steps: list[Callable[[], None]] = []
    if drawing:
        steps.append(result.polygons(job.polygons_file(drawing), drawing))
    if wanted.overlay:
        steps.append(_overlay(result, job.overlay_file))
    if wanted.heat_map:
        steps.append(_heat_map(result, job.heat_map_file))
    if isinstance(geometry, SceneGeometry):
        probabilities, labels = result.probabilities, result.labels
        return [*steps, partial(write_whole, geometry, result.label, probabilities, labels, job, wanted)], volumes
    if wanted.probabilities and result.probabilities is not None:
        steps.append(partial(geometry.write_probabilities, job.probabilities_file, result.probabilities, result.labels))
    return [*steps, partial(geometry.write_label, job.target, result.label, result.labels)], volumes


def _write(steps: list[Callable[[], None]]) -> None:
    """Take the steps in turn."""
    while steps:
        steps.pop(0)()


def _overlay(result: Result, path: Path) -> Callable[[], None]:
    """What draws the representative slice of a result; it holds that slice only."""
    # Only who asks for a figure pays for matplotlib.
    from samtailor.reporting.figures import save_figure
    from samtailor.reporting.overlay import overlay_figure
    from samtailor.reporting.view import View

    labels, name = result.labels, result.case.name
    view = View.from_case(result.slices, result.label, spacing=result.case.geometry.spacing)
    return lambda: save_figure(overlay_figure(view, labels, name), path)


def _heat_map(result: Result, path: Path) -> Callable[[], None]:
    """What draws the probabilities of a result; it holds one slice of each class only."""
    from samtailor.reporting.figures import save_figure
    from samtailor.reporting.heat_map import heat_map_figure, heat_maps

    assert result.probabilities is not None
    spacing, name = result.case.geometry.spacing, result.case.name
    maps = list(heat_maps(result.slices, result.probabilities, result.labels.names, spacing))
    aspect = 1.0 if spacing is None else spacing[1] / spacing[2]
    return lambda: save_figure(heat_map_figure(maps, name, aspect), path)
