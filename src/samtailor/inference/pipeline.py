"""Segmenting many files: the next one is read and the last one written while the network computes.

plan -> jobs -> read ahead -> compute -> write behind. A file that cannot be read or written does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from samtailor.data.case import Case
from samtailor.data.formats import format_of
from samtailor.errors import SamTailorError
from samtailor.inference.inputs import Job, read
from samtailor.inference.predictor import Predictor
from samtailor.inference.report import Failure, PredictReport
from samtailor.inference.result import Result, segment
from samtailor.progress import tracked

_FAILURES = (SamTailorError, OSError)
"""What concerns one image, or the disk it should go to; the others go on."""


def written_at(path: Path) -> int | None:
    """When a file was written; None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def joint_report(jobs: Sequence[Job], reports: Sequence[PredictReport]) -> PredictReport:
    """What came of the shares of all processes; an image of which nobody tells anything counts as failed.

    Args:
        jobs: Of all processes.
        reports: Of each that is there.

    Returns:
        In the order of the jobs.
    """
    written = {path for report in reports for path in report.written}
    failures = {failure.file: failure for report in reports for failure in report.failures}
    lost = "its process has ended early; the same command with --skip_existing does what is not done"
    return PredictReport(
        tuple(job.target for job in jobs if job.target in written),
        tuple(failures.get(job.file, Failure(job.file, lost)) for job in jobs if job.target not in written),
    )


def predict_jobs(
    predictor: Predictor,
    jobs: Sequence[Job],
    probabilities: bool = False,
    overlays: bool = False,
) -> PredictReport:
    """Segment planned images; of three at most something is in memory: one is read, one computed, one written.

    Args:
        predictor: Applies the segmenter.
        jobs: Images and their results.
        probabilities: As for `predict`.
        overlays: As for `predict`.

    Returns:
        What was written, and what could not be, each in the order of the jobs.
    """
    if not jobs:  # fewer images than processes
        return PredictReport((), ())
    outcomes: list[Future[None]] = []
    with ThreadPoolExecutor(1) as writer:
        images = _read_ahead(jobs, predictor.model.preprocessing.channels)
        for job, image in zip(tracked("inputs", jobs), images, strict=True):
            try:
                steps = _compute(predictor, job, image, probabilities, overlays)
            except _FAILURES as error:
                outcomes.append(Future())
                outcomes[-1].set_exception(error)
            else:
                if outcomes:
                    _settled(outcomes[-1])  # no more than one result waits for the disk
                outcomes.append(writer.submit(_write, steps))
        reasons = [_settled(outcome) for outcome in outcomes]
    return PredictReport(
        tuple(job.target for job, reason in zip(jobs, reasons, strict=True) if reason is None),
        tuple(
            Failure(job.file, str(reason).removeprefix(f"{job.file}: "))
            for job, reason in zip(jobs, reasons, strict=True)
            if reason is not None
        ),
    )


def _settled(outcome: Future[None]) -> BaseException | None:
    """What was wrong with an image, once it is written or has failed; what nobody foresaw is raised."""
    error = outcome.exception()
    if error is not None and not isinstance(error, _FAILURES):
        raise error
    return error


def _read_ahead(jobs: Sequence[Job], channels: int) -> Iterator[Future[Case]]:
    """The image of each job; while the caller works on one, the next is read."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, jobs[0], channels)
        for following in [*jobs[1:], None]:
            current = future
            if following is not None:
                future = pool.submit(read, following, channels)
            yield current


def _compute(
    predictor: Predictor,
    job: Job,
    image: Future[Case],
    probabilities: bool,
    overlay: bool,
) -> list[Callable[[], None]]:
    """Segment one image.

    Returns:
        What writes its probabilities and overlay, if wanted, and its label, which comes last. It does not hold the
        image any more.
    """
    case = image.result()
    geometry, folder = case.geometry, job.target.parent
    scratch = folder / "probabilities"
    result = segment(predictor, case, probabilities, scratch)
    steps: list[Callable[[], None]] = []
    if result.probabilities is not None:
        path = scratch / f"{case.name}{format_of(job.file).probabilities_suffix}"
        steps.append(partial(geometry.write_probabilities, path, result.probabilities))
    if overlay:
        steps.append(_overlay(result, folder / "overlays" / f"{case.name}.png"))
    return [*steps, partial(geometry.write_label, job.target, result.label, result.labels)]


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
