"""Running a baseline over a data set: slice by slice, resumable, scored like any other result."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.channels import needs_projection
from samtailor.data.dataset import Dataset
from samtailor.data.formats import format_of, read_geometry
from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.cases import grid_of
from samtailor.evaluation.measure import Grid, measure_masks
from samtailor.evaluation.predictions import write_results
from samtailor.evaluation.scores import Scores
from samtailor.files import made_of, read_json, read_yaml, write_text
from samtailor.labels import IGNORE
from samtailor.metrics.overlap import Overlap
from samtailor.metrics.targets import TargetCounts
from samtailor.models.checkpoints import checksum
from samtailor.models.zoo import find_base, load_base, weights_files
from samtailor.outputs import require_new
from samtailor.progress import tracked
from samtailor.reporting.view import View
from samtailor.zeroshot.choice import SliceResult, choose_best, paint, prompt_classes
from samtailor.zeroshot.generator import MaskGenerator
from samtailor.zeroshot.settings import BaselineConfig

Plan = tuple[CaseFiles, list[int]]
"""A case and its slices that are computed."""


class BaselineWork:
    """A baseline on disk."""

    def __init__(self, config: BaselineConfig, dataset: Dataset, cache: SliceCache) -> None:
        self.config = config
        self.dataset = dataset
        self.labels = dataset.labels
        self.cache = cache
        self.out = Path(config.out)
        self.state = self.out / "state"

    @cached_property
    def generator(self) -> MaskGenerator:
        """The base, loaded when it is first needed."""
        from samtailor.inference.predictor import choose_device

        network = load_base(self.config.base, self.config.weights).to(choose_device(self.config.device))
        base = find_base(self.config.base)
        return MaskGenerator(network, base, self.config.generator(), self.config.image_size)

    def require_possible(self, files: tuple[CaseFiles, ...]) -> None:
        """Refuse weights of another network, and cases without foreground, before anything is written."""
        self._plan(files)
        _ = self.generator

    def finish(self, files: tuple[CaseFiles, ...]) -> Scores:
        """Do what is left, write tables and figures."""
        plans = self._plan(files)
        total = sum(len(slices) for _, slices in plans)
        scored = [self._score(*plan) for plan in tracked("cases", plans)]
        config, which = self.config, self._which(total)
        source = {"data": self.dataset.root.resolve().name, "split": config.split, "base": config.base}
        source |= {"kind": config.kind, "slices": which}
        if needs_projection(len(self.dataset.channels)):
            source["image"] = f"mean of {len(self.dataset.channels)} channels ({', '.join(self.dataset.channels)})"
        bound = f"{config.upper_bound} ({which})"
        assert config.protocol is not None
        scores = Scores(self.labels, config.protocol, tuple(scored), config.bootstrap, config.seed, bound, source)
        write_text(self.out / "slices.csv", self._slice_table(plans, scores))
        return write_results(scores, self.out, lambda index: View.load(self._case_state(plans[index][0], "view.npz")))

    def _which(self, total: int) -> str:
        """Which slices were computed, in words."""
        what = "pictures" if self.dataset.pictures else "slices with foreground"
        if self.config.slices is None:
            return f"all {total} {what}"
        return f"{total} {what} drawn with seed {self.config.seed}"

    def _plan(self, files: tuple[CaseFiles, ...]) -> list[Plan]:
        """Slices with foreground of every case, all pictures, or a sample of them; cases without are left out."""
        places: list[tuple[int, int]] = []
        for number, file in enumerate(files):
            counts = self.cache.load(file).counts
            every = self.dataset.pictures
            places += [(number, i) for i in range(len(counts)) if every or counts[i, 1:].any()]
        if not places:
            raise DataError(f"{self.dataset.root}: expected foreground in split '{self.config.split}', found none")
        if self.config.slices is not None and self.config.slices < len(places):
            random = np.random.default_rng(self.config.seed)
            places = [places[i] for i in sorted(random.choice(len(places), self.config.slices, replace=False))]
        chosen: dict[int, list[int]] = {}
        for number, index in places:
            chosen.setdefault(number, []).append(index)
        return [(files[number], slices) for number, slices in chosen.items()]

    def _score(self, file: CaseFiles, slices: list[int]) -> CaseScore:
        """Compute what is missing of a case, and score it."""
        finished = self._case_state(file, "score.json")
        if finished.is_file():
            return _load_score(finished)
        case = self.cache.load(file)
        assert case.label is not None
        results = [self._slice(case, index) for index in tracked("slices", slices)]
        label = np.zeros(case.label.shape, np.int16)
        for index, result in zip(slices, results, strict=True):
            label[index] = paint(result.choices, case.label.shape[1:])
        self._write_label(file, label)
        View.from_case(case.image, label, case.label, case.spacing).save(self._case_state(file, "view.npz"))
        score = self._measure(case, file, dict(zip(slices, results, strict=True)))
        _save_score(score, finished)
        return score

    def _measure(self, case: CachedCase, file: CaseFiles, results: dict[int, SliceResult]) -> CaseScore:
        """Score of the chosen masks, each for itself, on the slices that were computed."""
        assert case.label is not None
        assert self.config.protocol is not None
        sampled = self.config.slices is not None and not self.dataset.pictures
        shown = list(results) if sampled else list(range(len(case.label)))
        truth = np.array(case.label[shown])
        truth[[index not in results for index in shown]] = IGNORE  # nothing was asked of slices without foreground
        masks: dict[int, NDArray[np.bool_]] = {}
        for index, result in results.items():
            for k, choice in result.choices.items():
                masks.setdefault(k, np.zeros(truth.shape, np.bool_))[shown.index(index)] = choice.runs.to_mask()
        grid = Grid.from_spacing(None, len(truth)) if sampled else grid_of(file)
        score = measure_masks(case.name, truth, masks, self.labels, self.config.protocol, grid)
        # Slices drawn from a volume have no surfaces between them.
        return replace(score, measured={}) if sampled else score

    def _slice(self, case: CachedCase, index: int) -> SliceResult:
        """The masks of one slice, computed if they are not on disk."""
        path = self.state / case.name / f"{index:05d}.npz"
        if path.is_file():
            return SliceResult.load(path)
        assert case.label is not None
        start = time.perf_counter()
        truth = np.asarray(case.label[index])
        image = as_bytes(np.asarray(case.image[index]))
        if self.config.kind == "everything":
            masks = [record.runs for record in self.generator.generate(image)]
            choices, count = choose_best(masks, truth), len(masks)
        else:
            seed = (self.config.seed, case.name, index)
            choices = prompt_classes(self.generator, image, truth, self.config.kind, self.config.points, seed)
            count = len(choices)
        result = SliceResult(choices, count, time.perf_counter() - start)
        result.save(path)
        return result

    def _write_label(self, file: CaseFiles, label: NDArray[np.int16]) -> None:
        """The chosen masks as one label map in the geometry of the image."""
        path = self.out / "predictions" / f"{file.name}{format_of(file.images[0]).label_suffix}"
        read_geometry(file.images[0]).write_label(path, label, self.labels)

    def _case_state(self, file: CaseFiles, name: str) -> Path:
        folder = self.state / file.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def _slice_table(self, plans: list[Plan], scores: Scores) -> str:
        """One line per slice and class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = ("dsc", "iou", "truth_pixels", "mask_pixels", "overlap_pixels", "masks", "seconds", "upper_bound")
        writer.writerow(("case", "slice", "class", *columns))
        for file, slices in plans:
            for index in slices:
                result = SliceResult.load(self.state / file.name / f"{index:05d}.npz")
                for k, choice in sorted(result.choices.items()):
                    counts = (choice.truth, choice.mask, choice.both, result.masks, f"{result.seconds:.2f}")
                    place = (file.name, index, self.labels.names[k])
                    writer.writerow((*place, f"{choice.dsc:.6f}", f"{choice.iou:.6f}", *counts, scores.upper_bound))
        return text.getvalue()


def _save_score(score: CaseScore, path: Path) -> None:
    """Write a case's score, complete or not at all."""
    content = {
        "name": score.name,
        "overlap": [counts.tolist() for counts in score.overlap],
        "surface": {metric: values.tolist() for metric, values in score.measured.items()},
        "targets": None if score.targets is None else asdict(score.targets),
        "unit": score.unit,
    }
    write_text(path, json.dumps(content))


def _load_score(path: Path) -> CaseScore:
    """Read what `_save_score` wrote."""
    content = read_json(path, dict, "delete it, and it is computed again")
    with made_of(path, "the score of a case", "delete it, and it is computed again"):
        return CaseScore(
            content["name"],
            Overlap(*(np.array(counts, np.int64) for counts in content["overlap"])),
            {metric: np.array(values, np.float64) for metric, values in content["surface"].items()},
            None,
            None if content["targets"] is None else TargetCounts(**content["targets"]),
            content.get("unit", "voxels"),  # older versions wrote none
        )


def as_bytes(image: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """A slice in [0, 1], (C, H, W), as the 8-bit colours that the authors' code takes, (H, W, 3).

    One channel is repeated, three are colours; of others the mean is shown, which is where a training starts from.
    """
    values = image.astype(np.float32)
    if needs_projection(len(values)):
        values = values.mean(axis=0, keepdims=True)
    levels = np.rint(values * 255).astype(np.uint8)
    picture = np.moveaxis(levels, 0, -1)
    return np.ascontiguousarray(picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2))


def claim(work: BaselineWork, files: tuple[CaseFiles, ...]) -> None:
    """Write the settings into the folder, or refuse a folder that holds something else.

    Raises:
        ConfigError: If it holds a baseline with other settings, or anything else.
    """
    # Neither where it lies nor what computes it changes the results.
    settings = {name: value for name, value in asdict(work.config).items() if name not in ("out", "device")}
    settings |= {"cases": [file.name for file in files], "fingerprint": work.dataset.fingerprint()}
    settings |= {"weights_sha256": checksum(weights_files(work.config.base, work.config.weights))}
    text = yaml.safe_dump(settings, sort_keys=False)
    file = work.out / "config.yaml"
    if not file.is_file():
        require_new(work.out)
        work.require_possible(files)
        write_text(file, text)
        return
    wanted = yaml.safe_load(text)
    found = {"weights_sha256": settings["weights_sha256"], **read_yaml(file, "name another folder")}
    if changed := [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]:
        raise ConfigError(
            f"out: expected a new folder, or the same settings as in {file}; found other {', '.join(changed)}; "
            "name another folder"
        )
