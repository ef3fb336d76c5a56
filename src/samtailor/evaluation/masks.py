"""Saved masks, whoever made them, and their labels: what belongs together, what is wrong with it, and its scores."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.conditions import class_indices
from samtailor.data.dataset import Dataset, Split, open_dataset
from samtailor.data.formats import (
    find_format,
    find_label_format,
    image_suffixes,
    is_scene,
    label_format_of,
    read_case,
    read_geometry,
)
from samtailor.data.formats.format import LabelFormat
from samtailor.data.formats.vector import VectorFormat
from samtailor.data.intensity import Percentile, scale
from samtailor.data.layouts.contents import by_name
from samtailor.data.layouts.listed import labels_of
from samtailor.data.layouts.names import role_of_folder
from samtailor.errors import DataError, DataWarning, FileError
from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.measure import Grid, measure
from samtailor.files import read_json
from samtailor.labels import IGNORE, LabelSpace, default_palette
from samtailor.memory import available_memory
from samtailor.metrics.protocols import FLARE22_CLASSES, ProtocolName
from samtailor.progress import report
from samtailor.reporting.view import View, drawn_channels
from samtailor.settings import Selection

_LISTED = 20
_FIX = "fix the mask, or name its classes with --classes dataset.json"
_WHITE = {255, 65535}
"""Ids of what is white on black in 8 and 16 bits, as other tools write masks of one class."""

# Bytes of a voxel while its case is measured: both label maps, and the distance transforms of a large organ.
_BYTES_PER_VOXEL = 24


@dataclass(frozen=True)
class MaskPair:
    """A saved mask and the label it is scored against, of one case."""

    name: str
    prediction: Path
    label: Path
    image: Path | None = None
    """Image of the case, if it is known."""

    @property
    def grid(self) -> Path:
        """The file on whose grid both are compared: the first that has one, of mask, label and image."""
        for file in (self.prediction, self.label, self.image):
            if file and find_format(file):
                return file
        fix = "name the data set, whose images say where both lie"
        raise FileError(self.prediction, "a mask, or a label, with a grid of its own", "neither", fix)


class Pair(NamedTuple):
    """A mask and its label, read.

    Attributes:
        truth: Class indices of the label, `IGNORE` where nothing is scored, (S, H, W).
        prediction: Class indices of the mask, (S, H, W).
        geometry: How they lie in the label's file.
        unscored: Labelled pixels where the mask has no data.
    """

    truth: NDArray[np.int16]
    prediction: NDArray[np.int16]
    geometry: Geometry
    unscored: int


@dataclass(frozen=True)
class Truth:
    """What masks are scored against.

    Attributes:
        root: Folder that the user named.
        cases: Cases with label files, sorted by name; images are empty where they are not known.
        others: Names of further cases of the data set, whose masks are passed over.
        labels: Classes, if the folder says what they are.
        dataset: The data set; None for a folder of label files.
    """

    root: Path
    cases: tuple[CaseFiles, ...]
    others: frozenset[str]
    labels: LabelSpace | None
    dataset: Dataset | None = None

    @property
    def protocol(self) -> ProtocolName:
        """Rules that it is usually scored by (see `Dataset.protocol`)."""
        if self.dataset:
            return self.dataset.protocol
        first = self.cases[0].label
        assert first is not None
        is_on_earth = is_scene(first) or isinstance(find_label_format(first), VectorFormat)
        return "remote-sensing" if is_on_earth else "samtailor"


def open_truth(root: Path, split: Split | None, selection: Selection) -> Truth:
    """Label files of a folder that holds them itself (then without split), or of a labelled data set."""
    if not root.is_dir():
        raise FileError(root, "a folder of labels, or a data set", "no such folder", "give the path of the labels")
    files = _labels_in(root)
    if files:
        if split is not None:
            raise FileError(root, f"a data set with a split '{split}'", "a folder of label files", "name the data set")
        neighbour = root.parent / "dataset.json"
        labels = read_classes(neighbour) if neighbour.is_file() else None
        return Truth(root, tuple(CaseFiles(name, (), file) for name, file in files.items()), frozenset(), labels)
    dataset = open_dataset(root, *selection)
    wanted = dataset.cases if split is None else dataset.split(split)
    cases = tuple(case for case in wanted if case.label is not None)
    others = frozenset(case.name for case in dataset.cases) - {case.name for case in cases}
    return Truth(root, cases, others, dataset.labels, dataset)


def _labels_in(root: Path) -> dict[str, Path]:
    """Label files of a folder, by the names of their cases; none if it has outlines beside the images they are of."""
    masks = masks_in(root)
    outlines = masks_in(root, lambda file: None if find_format(file) else find_label_format(file))
    if masks.keys() & outlines.keys():
        return masks if role_of_folder(root.resolve().name) == "label" else {}
    return dict(sorted((masks | outlines).items()))


def masks_in(folder: Path, find: Callable[[Path], LabelFormat | None] = find_format) -> dict[str, Path]:
    """Mask files of a folder, of those formats that can be found, by the name of their case, sorted."""
    if not folder.is_dir():
        raise FileError(folder, "a folder of masks", "no such folder", "give the path of the masks")

    def name_of(file: Path) -> str | None:
        format = find(file)
        return format.stem_of(file).removesuffix("_pixels0") if format else None  # how SIRST calls its masks

    return by_name(folder, name_of)


def read_classes(path: Path) -> LabelSpace:
    """Classes of a dataset.json, nnU-Net's or an image folder's."""
    content = read_json(path, dict, 'write {"classes": ["background", ...]} or {"labels": {"background": 0, ...}}')
    return labels_of(path, content)


def pair(predictions: Path, truth: Truth) -> tuple[list[MaskPair], list[FileError]]:
    """Masks and labels of the same case, and what stands alone."""
    cases = {case.name: case for case in truth.cases if case.label is not None}
    masks = masks_in(predictions)
    if not masks:  # other files may look like outlines
        found = masks_in(predictions, find_label_format)
        masks = {name: file for name, file in found.items() if name in cases}
    if not cases:
        raise FileError(truth.root, "cases with a label", "none", "name a folder with label files")
    if not masks:
        expected = f"masks ({', '.join(image_suffixes())}) named after their cases"
        raise FileError(predictions, expected, "none", "name their folder")
    hint = "predict it, or score one split with --split" if truth.dataset else "predict it, or take the label away"
    alone = [FileError(predictions, f"a mask of case '{name}'", "none", hint) for name in cases if name not in masks]
    alone += [
        FileError(file, "a label of that name", f"none in {truth.root}", "rename the mask, or take it away")
        for name, file in masks.items()
        if name not in cases and name not in truth.others
    ]
    pairs = [
        MaskPair(name, masks[name], case.label, case.images[0] if case.images else None)
        for name, case in cases.items()
        if name in masks and case.label is not None
    ]
    return pairs, alone


def classes_of(pairs: Sequence[MaskPair], truth: Truth, given: Path | None, protocol: ProtocolName) -> LabelSpace:
    """Classes of the labels: as given, as the labels' folder says, as a mask says, or as the protocol implies."""
    if given is not None:
        return read_classes(given)
    if truth.labels is not None:
        return truth.labels
    for file in (pairs[0].label, pairs[0].prediction) if pairs else ():
        if (names := label_format_of(file).read_names(file)) and len(names) > 1:
            ids = tuple(sorted(names))
            return LabelSpace(tuple(names[i] for i in ids), ids, default_palette(len(ids)))
    if protocol == "flare22":
        return LabelSpace.from_names(FLARE22_CLASSES)
    fix = "give --classes dataset.json with the names and ids of the classes"
    raise FileError(truth.root, "a data set, or masks with the names of their classes in them", "neither", fix)


def geometry_error(one: MaskPair) -> FileError | None:
    """What is wrong with the grid of a mask, by the headers of both files."""
    try:
        if not (find_format(one.label) and find_format(one.prediction)):  # what has no grid is drawn on the other's
            read_geometry(one.grid)
            return None
        label, prediction = read_geometry(one.label), read_geometry(one.prediction)
    except FileError as error:
        return error
    if (label.spacing is None) != (prediction.spacing is None):
        kinds = ("a volume", "a picture") if label.spacing else ("a picture", "a volume")
        return FileError(one.prediction, f"{kinds[0]} like the label", kinds[1], "save the mask in the label's format")
    difference = label.difference(prediction, "mask", "label")
    return FileError(one.prediction, *difference) if difference else None


def read_pair(one: MaskPair, labels: LabelSpace) -> Pair:
    """What a mask and its label hold, refused if it cannot be compared.

    Where either has no data, nothing is scored: a result has none where its image had none.
    """
    grid = read_geometry(one.grid)
    space = prediction_space(one.prediction, labels)
    predicted, place = label_format_of(one.prediction).read_ids(one.prediction, space, grid)
    ids, geometry = label_format_of(one.label).read_ids(one.label, labels, grid)
    like = {one.prediction: "mask", one.label: "label"}.get(one.grid, "image")
    for file, own, name in ((one.prediction, place, "mask"), (one.label, geometry, "label")):
        if difference := grid.difference(own, name, like):
            raise FileError(file, *difference)
    truth = class_indices(one.label, ids, labels, _FIX)
    if (white := _white(predicted, space)) is not None:
        space = replace(space, ids=(0, white))
    prediction = class_indices(one.prediction, predicted, space, _FIX)
    if place.void:
        prediction[place.void.where] = 0
    if prediction.min() < 0:
        raise FileError(one.prediction, "a class for every pixel", "pixels of the ignore id", "predict a class there")
    labelled = int((truth != IGNORE).sum())
    for void in (geometry.void, place.void):
        if void:
            truth[void.where] = IGNORE
    return Pair(truth, prediction, geometry, labelled - int((truth != IGNORE).sum()) if place.void else 0)


def _white(ids: NDArray[np.integer], space: LabelSpace) -> int | None:
    """What a mask has for the second of two classes, if that is no id of the space; None if it is, or may be."""
    if len(space) != 2 or space.ids[1] == 0:
        return None
    usual = (_WHITE | {1} if space.ids[1] in _WHITE else _WHITE) - {*space.ids, space.ignore_id}
    found = set(np.unique(ids).tolist()) - {0}
    return max(found or usual) if len(found) <= 1 and found <= usual else None


def prediction_space(path: Path, labels: LabelSpace) -> LabelSpace:
    """The classes with the ids that a mask's own names give them; those of the labels where it has no names."""
    names = label_format_of(path).read_names(path)
    if not names:
        return labels
    if set(names.values()) != set(labels.names):
        expected, found = ", ".join(labels.names), ", ".join(names.values())
        raise FileError(path, f"the classes {expected}", found, "score it against labels of its own classes")
    ids = {name: identifier for identifier, name in names.items()}
    return replace(labels, ids=tuple(ids[name] for name in labels.names), threshold=None)


def refuse(errors: Iterable[DataError], what: str) -> None:
    """Raise everything that was found as one error, a line each; nothing if nothing was."""
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        lines = [f"  {error}" for error in found[:_LISTED]]
        more = [f"  ... and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
        raise DataError("\n".join([f"{len(found)} {what} are not as expected, nothing was written:", *lines, *more]))


def measure_pairs(
    pairs: Sequence[MaskPair],
    labels: LabelSpace,
    protocol: ProtocolName,
    ignore_background: bool,
    workers: int | None,
) -> list[CaseScore]:
    """Scores of each case, in their order; all files that cannot be read or hold ids of no class are named."""
    unscored: list[int] = []

    def one(case: MaskPair) -> CaseScore:
        truth, prediction, geometry, without = read_pair(case, labels)
        unscored.append(without)
        if ignore_background:
            truth = np.where(truth == 0, np.int16(IGNORE), truth)
        return measure(case.name, truth, prediction, labels, protocol, Grid.from_geometry(geometry))

    report("cases", 0, len(pairs))
    with ThreadPoolExecutor(workers or _workers(pairs)) as pool:
        futures = [pool.submit(one, case) for case in pairs]
        for done, _ in enumerate(as_completed(futures), start=1):
            report("cases", done, len(pairs))
    refuse([error for future in futures if isinstance(error := future.exception(), DataError)], "files")
    if any(unscored):
        what = f"{sum(unscored)} labelled pixels, in {np.count_nonzero(unscored)} masks, have no data there"
        warnings.warn(f"{what}: they are in no score", DataWarning, stacklevel=2)
    return [future.result() for future in futures]


def _workers(pairs: Sequence[MaskPair]) -> int:
    """Cases to measure at once: one for each core, as far as the free memory goes."""
    largest = max(int(np.prod(read_geometry(case.grid).shape)) for case in pairs)
    fitting = available_memory() // (_BYTES_PER_VOXEL * largest)
    return max(1, min(os.cpu_count() or 1, len(pairs), int(fitting)))


def view_of(case: MaskPair, files: CaseFiles, labels: LabelSpace) -> View:
    """The representative slice of a case; intensities between the 0.5th and the 99.5th percentile of what is drawn."""
    truth, prediction, geometry, _ = read_pair(case, labels)
    image = read_case(CaseFiles(files.name, files.images), None).image
    drawn = image[drawn_channels(len(image), is_picture=geometry.spacing is None)]
    return View.from_case(scale(drawn, Percentile()).swapaxes(0, 1), prediction, truth, geometry.spacing)
