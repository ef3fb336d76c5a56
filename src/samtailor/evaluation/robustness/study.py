"""Scores of runs under corruption: computed once, kept as soon as they are known, taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.cache import add_content
from samtailor.data.case import Case, CaseFiles
from samtailor.data.channels import ChannelChoice
from samtailor.data.corruptions import SEVERITIES, Degradation, degradation
from samtailor.data.dataset import Dataset
from samtailor.data.formats import read_case
from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.evaluation.case_scores import CaseScore, CaseScores
from samtailor.evaluation.cases import grid_of
from samtailor.evaluation.measure import measure
from samtailor.files import made_of, read_json, write_json
from samtailor.inference.ahead import ahead
from samtailor.inference.predictor import Predictor, choose_device, chosen_precision
from samtailor.labels import LabelSpace
from samtailor.metrics.overlap import Overlap
from samtailor.metrics.protocols import ProtocolName
from samtailor.models.segmenter_model import SegmenterModel, load_model, segmenter_checksum
from samtailor.progress import report, tracked
from samtailor.refinement import to_plain, told
from samtailor.refinement.step import Step
from samtailor.runs import Run
from samtailor.settings import Precision
from samtailor.version import VERSION

Curves = NDArray[np.float64]
"""DSC of a run, (corruptions, 6): clean, and under severities 1 to 5."""


def chosen(files: Sequence[CaseFiles], count: int | None, seed: int) -> tuple[CaseFiles, ...]:
    """As many of the cases as wanted, drawn by a seed, in their order; all if there are no more."""
    if count is None or count >= len(files):
        return tuple(files)
    drawn = np.random.default_rng(seed).choice(len(files), count, replace=False)
    return tuple(files[place] for place in sorted(drawn.tolist()))


def require_comparable(path: Path, dataset: Dataset, slices: int | None, refinement: Sequence[Step] | None) -> None:
    """Refuse a run whose classes are not the data's, that cannot be scored on single slices, or cannot work here.

    Raises:
        ConfigError: Which of these is so.
        WeightsError: If weights of its denoising cannot be had.
    """
    if slices is not None and dataset.pictures:
        raise ConfigError("slices: expected volumes, found pictures; take --cases to score fewer of them")
    model = load_model(path)
    if model.labels.names != dataset.labels.names:
        raise ConfigError(
            f"{path}: expected a run of the data's classes, {', '.join(dataset.labels.names)}; found "
            f"{', '.join(model.labels.names)}; name another run, or its own data"
        )
    if slices is not None and (model.group > 1 or model.preprocessing.neighbours):
        raise ConfigError(
            f"slices: expected runs that see each slice alone; found {path}, which looks at neighbours together; take "
            "--cases to score fewer cases"
        )
    for step in model.preprocessing.steps:
        step.require_ready()
    predictor = Predictor(model, device="cpu", refinement=refinement)  # looks at the steps behind the network
    if slices is not None and refinement and predictor.refinement:
        raise ConfigError(
            f"refine: expected no steps that change the label with --slices, for they look at whole volumes; found "
            f"{told(predictor.refinement)}; leave one of the two out"
        )


@dataclass(frozen=True)
class Study:
    """What is measured, of every run alike.

    Attributes:
        labels: Classes of the data.
        files: Cases.
        protocol: Rules of the DSC.
        corruptions: Kinds of damage, by their names.
        seed: Seed of the damage.
        slices: So many slices of each volume; all if None.
        batch_size: Windows per batch.
        device: 'auto', 'cpu' or 'cuda'.
        precision: In which networks compute.
        refinement: What is done to labels at the end; what a segmenter has saved if None. Nothing to single slices.
        across_devices: Whether scores that were kept on another device, or in another precision, count as well.
    """

    labels: LabelSpace
    files: tuple[CaseFiles, ...]
    protocol: ProtocolName
    corruptions: tuple[str, ...]
    seed: int
    slices: int | None
    batch_size: int
    device: str
    precision: Precision
    refinement: Sequence[Step] | None
    across_devices: bool = False

    def conditions(self) -> Iterator[tuple[str, Degradation | None]]:
        """Everything that is scored: the clean images, and every corruption in every severity, by its name."""
        yield "clean", None
        for name in self.corruptions:
            for severity in SEVERITIES:
                yield f"{name}-{severity}", degradation((name,), (severity,), self.seed)

    def scores_of(self, runs: Mapping[Path, Path]) -> dict[Path, Curves]:
        """The curves of runs, of which each keeps its scores in a folder."""
        content = hashlib.blake2b(digest_size=20)
        for file in self.files:
            content.update(file.name.encode("utf-8", "surrogateescape"))
            add_content(content, file)
        segmenters = {path: segmenter_checksum(Run(path)) for path in runs}
        work = [(path, *condition) for path in runs for condition in self.conditions()]
        dsc: dict[Path, list[float]] = {path: [] for path in runs}
        predictor: tuple[Path, Predictor] | None = None
        for path, name, damage in tracked("conditions", work):
            kept = runs[path] / self._key(segmenters[path], content.hexdigest(), damage) / f"{name}.json"
            scores = _read(kept, self.files)
            if scores is None:
                if predictor is None or predictor[0] != path:
                    predictor = path, self._predictor(load_model(path).for_inference())
                scores = list(self._scores(predictor[1], damage))
                write_json(kept, {case.name: [counts.tolist() for counts in case.overlap] for case in scores})
            summary = CaseScores(self.labels, self.protocol, tuple(scores), resamples=1).summary("dsc")
            dsc[path].append(summary.without_background.value)
        return {path: _curves(values) for path, values in dsc.items()}

    def _predictor(self, model: SegmenterModel) -> Predictor:
        predictor = Predictor(model, self.batch_size, self.device, self.precision, self.refinement)
        if self.slices is not None:
            predictor.refinement = ()  # whose steps look at whole volumes
        return predictor

    def _key(self, segmenter: str, content: str, damage: Degradation | None) -> str:
        """Hash of everything that scores depend on, but for the corruption and its severity, which are the name."""
        device = choose_device(self.device)
        settings: dict[str, Any] = {
            "version": VERSION,
            "segmenter": segmenter,
            "data": content,
            "labels": self.labels.to_json(),
            "protocol": self.protocol,
            "slices": self.slices and [self.slices, "as the network labels them"],
            "computed": None if self.across_devices else (device.type, chosen_precision(self.precision, device)),
            "refinement": None if self.refinement is None else to_plain(self.refinement),
            "corruptions": damage and (damage.to_json()["version"], damage.seed),
        }
        return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()

    def _scores(self, predictor: Predictor, damage: Degradation | None) -> Iterator[CaseScore]:
        """Scores of all cases under one condition; the next case is read while the network computes."""
        preprocessing = predictor.model.preprocessing
        cases = ahead(self._read(file, preprocessing.channel_choice, damage) for file in self.files)
        for place, (file, case) in enumerate(zip(self.files, cases, strict=True)):
            if case.label is None:
                raise DataError(f"{file.name}: expected a label file, found none; add it")
            label = predictor.label(preprocessing.prepare(case), case.geometry.spacing, void=case.geometry.void)
            yield measure(file.name, case.label, label, self.labels, self.protocol, grid_of(file))
            report("cases", place + 1, len(self.files))

    def _read(self, file: CaseFiles, channels: ChannelChoice, damage: Degradation | None) -> Case:
        case = read_case(file, self.labels, channels)
        if self.slices is not None:
            case = some_slices(case, self.slices)
        return case if damage is None else damage(case)


def some_slices(case: Case, count: int) -> Case:
    """A volume of a few of its slices, evenly spread over those with a class other than the background, if any are."""
    assert case.label is not None
    present = np.flatnonzero((case.label > 0).any(axis=(1, 2)))
    among = present if len(present) else np.arange(len(case.label))
    parts = min(count, len(among))
    places = among[((np.arange(parts) + 0.5) * len(among) / parts).astype(int)]  # the middle of each of equal parts
    return replace(case, image=case.image[:, places], label=case.label[places])


def _curves(values: Sequence[float]) -> Curves:
    """What is known of a run, clean first, by corruption, (corruptions, 6)."""
    damaged = np.array(values[1:], dtype=np.float64).reshape(-1, len(SEVERITIES))
    return np.column_stack([np.full(len(damaged), values[0]), damaged])


def _read(file: Path, files: Sequence[CaseFiles]) -> list[CaseScore] | None:
    """Scores that were kept; None if there are none, or they are damaged: then they are computed again."""
    if not file.is_file():
        return None
    try:
        with made_of(file, "kept scores", ""):
            content = read_json(file, dict, "")
            counts = {name: Overlap(*np.array(content[name], dtype=np.int64)) for name in (f.name for f in files)}
            return [CaseScore(name, overlap) for name, overlap in counts.items()]
    except SamTailorError:
        return None
