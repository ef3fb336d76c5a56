"""Segmenting many files: the next one is read while the network computes, a bad one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import samtailor
from samtailor.data.case import Case
from samtailor.data.formats import probabilities_suffix
from samtailor.errors import SamTailorError
from samtailor.inference.inputs import Job, plan, read
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import Result, segment

Progress = Callable[[float, int], None]
"""Called with the number of images done, that of the current one as a fraction, and the number of images."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be segmented.

    Attributes:
        file: The image.
        reason: What was wrong and how to mend it.
    """

    file: Path
    reason: str


@dataclass(frozen=True)
class PredictReport:
    """What came of a prediction.

    Attributes:
        written: Label files.
        failures: Images that could not be segmented.
    """

    written: tuple[Path, ...]
    failures: tuple[Failure, ...]


def predict(
    run: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    probabilities: bool = False,
    overlays: bool = False,
    batch_size: int = 8,
    device: str = "auto",
    progress: Progress | None = None,
) -> PredictReport:
    """Segment files with a fitted segmenter; every result is named after its input and lies on its grid.

    Args:
        run: Directory of a run, or of a segmenter.
        inputs: Files, folders and glob patterns (see `samtailor.inference.inputs.plan`).
        out: Folder of the results: NIfTI for volumes, palette PNG for pictures.
        probabilities: Whether to write the softmax over classes into the folder 'probabilities' as well.
        overlays: Whether to draw the most telling slice with its result into the folder 'overlays' as well.
        batch_size: Windows per batch.
        device: 'auto', 'cpu' or 'cuda'.
        progress: Reports finished images.

    Returns:
        What was written, and what could not be.

    Raises:
        SamTailorError: If the segmenter cannot be loaded, or a result would overwrite something; nothing is written.
    """
    jobs = plan(inputs, Path(out))
    predictor = Predictor(samtailor.load(run), batch_size, device)
    written: list[Path] = []
    failures: list[Failure] = []
    for index, (job, future) in enumerate(_read_ahead(jobs, predictor.segmenter.preprocessing.channels)):
        try:
            _segment(predictor, job, future, probabilities, overlays, _within(progress, index, len(jobs)))
            written.append(job.target)
        except (SamTailorError, OSError) as error:
            failures.append(Failure(job.file, str(error).removeprefix(f"{job.file}: ")))
        if progress is not None:
            progress(index + 1, len(jobs))
    return PredictReport(tuple(written), tuple(failures))


def _read_ahead(jobs: Sequence[Job], channels: int) -> Iterator[tuple[Job, Future[Case]]]:
    """Each job with its image; while the caller works on one, the next is read. Two are in memory at most."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, jobs[0], channels)
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            current = future
            if following is not None:
                future = pool.submit(read, following, channels)
            yield job, current


def _within(progress: Progress | None, index: int, total: int) -> Callable[[int, int], None]:
    """Progress by slices of one image, as a fraction of it."""
    if progress is None:
        return lambda done, slices: None
    return lambda done, slices: progress(index + done / slices, total)


def _segment(
    predictor: Predictor,
    job: Job,
    future: Future[Case],
    probabilities: bool,
    overlay: bool,
    progress: Callable[[int, int], None],
) -> None:
    """Segment one image and write its label and, if wanted, probabilities and overlay; the label comes last."""
    case = future.result()
    slices = case.geometry.shape[0]
    result = segment(predictor, case, probabilities, lambda done: progress(done, slices))
    if probabilities:
        suffix = probabilities_suffix(case.geometry)
        result.save_probabilities(job.target.parent / "probabilities" / f"{case.name}{suffix}")
    if overlay:
        _draw(result, job.target.parent / "overlays" / f"{case.name}.png")
    result.save(job.target)


def _draw(result: Result, path: Path) -> None:
    """Draw the most telling slice of a result."""
    # Figures belong to evaluation, which stands above inference; only who asks for one pays for matplotlib.
    from samtailor.evaluation.figures import overlay_figure, save_figure
    from samtailor.evaluation.view import View

    view = View.of(result.scaled, result.label, spacing=result.case.geometry.spacing)
    save_figure(overlay_figure(view, result.labels, result.case.name), path)
