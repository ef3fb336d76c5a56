"""Segmenting many files: the next one is read and the last one written while the network computes.

plan -> jobs -> read ahead -> compute -> write behind. A file that cannot be read or written does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from samtailor.data.case import Case
from samtailor.data.formats import probabilities_suffix, write_label, write_probabilities
from samtailor.distributed.together import from_first, gather, start, together
from samtailor.errors import ProcessLostError, SamTailorError
from samtailor.inference.inputs import Job, plan, read
from samtailor.inference.predict_settings import Precision
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import Result, segment
from samtailor.models.pretrained import load_model
from samtailor.progress import tracked

_FAILURES = (SamTailorError, OSError)
"""What concerns one image, or the disk it should go to; the others go on."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be segmented.

    Attributes:
        file: The image.
        reason: What was wrong and how to fix it.
    """

    file: Path
    reason: str


@dataclass(frozen=True)
class PredictReport:
    """What came of a prediction.

    Attributes:
        written: Label files.
        failures: Images that could not be segmented.
        skipped: Label files that were there already.
    """

    written: tuple[Path, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Path, ...] = ()


def predict(
    run: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    probabilities: bool = False,
    overlays: bool = False,
    batch_size: int = 8,
    device: str = "auto",
    skip_existing: bool = False,
    precision: Precision = "auto",
) -> PredictReport:
    """Segment files with a fitted segmenter; every result is named after its input and lies on its grid.

    Several processes (of torchrun or SLURM) share the files: each takes every n-th of those to be done.

    Args:
        run: Directory of a run, or of a segmenter.
        inputs: Files, folders and glob patterns (see `samtailor.inference.inputs.plan`).
        out: Folder of the results: NIfTI for volumes, palette PNG for pictures.
        probabilities: Whether to write the softmax over classes into the folder 'probabilities' as well.
        overlays: Whether to draw the most telling slice with its result into the folder 'overlays' as well.
        batch_size: Windows per batch.
        device: 'auto', 'cpu' or 'cuda'.
        skip_existing: Whether to leave out files whose result is there already, as after an interruption.
        precision: 'auto', '32', 'bf16' or '16'; 'auto' is bfloat16 where a GPU computes in it.

    Returns:
        What was written by all processes, and what could not be.

    Raises:
        SamTailorError: If the segmenter cannot be loaded, or a result would overwrite something; nothing is written.
    """
    here = start(device)
    with together():
        planned = plan(inputs, Path(out))
        predictor = Predictor(load_model(run).for_inference(), batch_size, device, precision)
    before = {job.target: _written_at(job.target) for job in planned}
    # One process decides for all, because results appear while others still look.
    jobs = from_first([job for job in planned if not (skip_existing and job.target.exists())])
    report = predict_jobs(predictor, here.share(jobs), probabilities, overlays)
    try:
        reports = gather(report)
    except ProcessLostError:  # what it and the others have written lies in the folder
        appeared = [job.target for job in jobs if _written_at(job.target) != before[job.target]]
        reports = [report, PredictReport(tuple(appeared), ())]
    left_out = {job.target for job in planned} - {job.target for job in jobs}
    skipped = tuple(job.target for job in planned if job.target in left_out)
    return replace(joint_report(jobs, reports), skipped=skipped)


def _written_at(path: Path) -> int | None:
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
        path = scratch / f"{case.name}{probabilities_suffix(geometry)}"
        steps.append(partial(write_probabilities, path, result.probabilities, geometry))
    if overlay:
        steps.append(_overlay(result, folder / "overlays" / f"{case.name}.png"))
    return [*steps, partial(write_label, job.target, result.label, geometry, result.labels)]


def _write(steps: list[Callable[[], None]]) -> None:
    """Take the steps in turn."""
    while steps:
        steps.pop(0)()


def _overlay(result: Result, path: Path) -> Callable[[], None]:
    """What draws the most telling slice of a result; it holds that slice only."""
    # Figures belong to evaluation, which stands above inference; only who asks for one pays for matplotlib.
    from samtailor.reporting.figures import overlay_figure, save_figure
    from samtailor.reporting.view import View

    labels, name = result.labels, result.case.name
    view = View.of(result.scaled, result.label, spacing=result.case.geometry.spacing)
    return lambda: save_figure(overlay_figure(view, labels, name), path)
