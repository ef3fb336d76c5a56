"""What is fitted on: the data set itself where all of it is labelled, else a list of what is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset
from samtailor.data.formats import format_of
from samtailor.data.layouts.contents import Contents
from samtailor.data.layouts.listed import described
from samtailor.files import write_json
from samtailor.page.cases import Folder
from samtailor.page.edits import FOLDER
from samtailor.page.request_error import RequestError

LEAST = 2
"""Labelled cases: one to learn from, one to tell by how well."""
_VALIDATED = 8
"""Of so many labelled cases one is for validation, where the data set has no split."""


def fit_data(folder: Folder, name: str, is_ct: bool = False) -> Path:
    """The data of a fit.

    A data set that is labelled as a whole is trained on as it is. Of one that is not, training would refuse the rest or
    draw a split of its own: a `dataset.json` lists what is labelled, and lies with what else the page keeps in the
    data set. Its cases stay in their splits; others are for training, but for every eighth where no split has any
    for validation.

    Args:
        folder: The images and labels.
        name: Name of the run.
        is_ct: Whether images that nobody has named the channel of are CT.

    Returns:
        The folder to train on.

    Raises:
        RequestError: If fewer than two cases are labelled.
    """
    cases = folder.labelled
    if len(cases) < LEAST:
        raise RequestError(
            409,
            f"fit: expected at least {LEAST} labelled cases, one to learn from and one to validate, found "
            f"{len(cases)}; correct and save some",
        )
    if folder.dataset is not None and len(cases) == len(folder.cases) and _can_be_split(folder.dataset):
        return folder.root
    place = folder.root / FOLDER / "fits" / name
    contents = _contents(folder, cases, is_ct)
    content = described(place, contents, _splits(folder, cases))
    for key, value in (("label_column", folder.labels.column), ("label_layer", folder.labels.layer)):
        if value is not None:
            content[key] = value
    write_json(place / "dataset.json", content)
    return place


def _can_be_split(dataset: Dataset) -> bool:
    """Whether training finds cases to learn from and to validate on by itself."""
    return {"train", "val"} <= set(dataset.splits) or (not dataset.splits and len(dataset.cases) > LEAST)


def _contents(folder: Folder, cases: list[CaseFiles], is_ct: bool) -> Contents:
    """What the list says of classes and channels."""
    if folder.dataset is not None:
        named = folder.dataset.channels
        channels = ("CT",) if is_ct and named == ("image",) else named
        return replace(folder.dataset, cases=tuple(cases), channels=channels)
    if format_of(cases[0].images[0]).volumes:
        return Contents(folder.labels, tuple(cases), ("CT" if is_ct else "image",))
    images = {case.name: case.images[0] for case in cases}
    return Contents.from_pictures(folder.labels, images, {case.name: case.label for case in cases if case.label})


def _splits(folder: Folder, cases: list[CaseFiles]) -> dict[str, tuple[str, ...]]:
    """The splits of labelled cases."""
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for case in cases:
        parts[folder.splits.get(case.name, "train")].append(case.name)
    if not parts["train"] or not parts["val"]:
        known = sorted(parts["train"] + parts["val"]) or sorted(parts.pop("test"))
        count = max(1, len(known) // _VALIDATED)
        parts["val"] = known[:: len(known) // count][:count]
        parts["train"] = [name for name in known if name not in parts["val"]]
    if not parts["train"]:  # the only case that is not for testing validates, and tests teach
        parts["train"] = parts.pop("test")
    return {split: tuple(names) for split, names in parts.items() if names}
