"""The images of a folder: those of a data set, those in it that have no label yet, and those that are dropped later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.dataset import LAYOUTS, Dataset, open_dataset
from samtailor.data.formats import format_of, image_files
from samtailor.data.layouts import inferred, listed, tree
from samtailor.data.layouts.contents import composed
from samtailor.data.layouts.finding import find
from samtailor.data.layouts.found import named_cases
from samtailor.data.named import looking_like
from samtailor.errors import ConfigError, FileError
from samtailor.files import read_json
from samtailor.labels import LabelSpace
from samtailor.settings import WHOLE, Selection

_BACKGROUND = "background"


@dataclass
class Folder:
    """A folder of images, some or all with labels; none need have one.

    Attributes:
        root: The folder.
        labels: The classes.
        cases: Images with their labels, those of the data set first.
        splits: Split of a case, by its name.
        dataset: What the folder is as a data set; None while it has no label.
        selection: What is taken of it.
    """

    root: Path
    labels: LabelSpace
    cases: list[CaseFiles]
    splits: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    selection: Selection = WHOLE

    @property
    def channels(self) -> tuple[str, ...]:
        """What the folder calls the channels of its images; nothing if it does not say."""
        return self.dataset.channels if self.dataset else ()

    @property
    def labelled(self) -> list[CaseFiles]:
        """Images that have a label."""
        return [case for case in self.cases if case.label is not None]


def open_folder(
    root: Path, classes: Sequence[str] | None = None, labels: LabelSpace | None = None, selection: Selection = WHOLE
) -> Folder:
    """Look at a folder of images.

    Args:
        root: A data set, or a folder of images without any label.
        classes: Names of the classes; of a data set they must be its own. The background may be left out.
        labels: Classes of a segmenter, which a data set must have, and by which a folder is labelled that has none.
        selection: What is taken of a data set.

    Raises:
        DataError: If there is no image, or the data set is not as expected.
        ConfigError: If the classes are others, or nothing says what they are.
    """
    named = None if classes is None else space_of(classes)
    if not root.is_dir():
        raise FileError(root, "a folder of images", "a file" if root.is_file() else "nothing", "give a folder's path")
    if _has_no_label(root):
        return _without_labels(root, named, labels)
    dataset = open_dataset(root, *selection)
    for other, whose in ((named, "--classes"), (labels, "the segmenter")):
        if other is not None and other.names != dataset.labels.names:
            raise ConfigError(
                f"{root}: expected the classes of {whose}, {', '.join(other.names)}; found "
                f"{', '.join(dataset.labels.names)}; leave out --classes, or name the classes in dataset.json alike"
            )
    cases = list(dataset.cases)
    if dataset.layout == "inferred":  # the other layouts list images without a label themselves
        cases += _named_apart(root, tree.unlabelled(root), cases)
    splits = {name: split for split, names in dataset.splits.items() for name in names}
    return Folder(root, dataset.labels, cases, splits, dataset, selection)


def space_of(classes: Sequence[str]) -> LabelSpace:
    """The classes of some names, with the background before them unless it is the first of them."""
    first = classes[0].lower() if classes else ""
    return LabelSpace.from_names(tuple(classes) if first == _BACKGROUND else (_BACKGROUND, *classes))


def _has_no_label(root: Path) -> bool:
    """Whether a folder is none that a data set can be told from: it has no label."""
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    if layout is not inferred.LAYOUT or looking_like(root):
        return False
    return find(root) is None


def _without_labels(root: Path, named: LabelSpace | None, labels: LabelSpace | None) -> Folder:
    """A folder of images that nobody has labelled yet."""
    path = root / "dataset.json"
    if (root / "imagesTr").is_dir():  # with any dataset.json, the folder would be taken for nnU-Net's
        fix = "write nnU-Net's dataset.json with channel_names, labels and file_ending, or call the folder images"
        raise FileError(path, "nnU-Net's dataset.json beside imagesTr", "none with labels", fix)
    told = None
    if path.is_file():
        content = read_json(path, dict, 'write {"classes": ["background", ...]}')
        told = listed.labels_of(path, content) if content.keys() & {"classes", "labels"} else None
    space = told or labels or named
    if space is None:
        raise ConfigError(
            f"{root}: expected --classes, as no label tells what the classes are; name them, such as "
            "--classes liver spleen"
        )
    for other, whose in ((named, "--classes"), (labels, "the segmenter")):
        if other is not None and other.names != space.names:
            found = f"{', '.join(space.names)} of {path if told else 'the segmenter'}"
            raise ConfigError(f"classes: expected {', '.join(other.names)} of {whose}, found {found}; name them alike")
    images = tree.unlabelled(root)
    if not images:
        raise tree.refused(root)
    return Folder(root, space, _named_apart(root, images, []))


def _named_apart(root: Path, images: Sequence[Path], others: Sequence[CaseFiles]) -> list[CaseFiles]:
    """Cases of images, the channels of each together, with names that no other case has."""
    cases, further = [], set()
    for path in images:
        files = image_files(path)
        cases.append(files)
        further |= set(files.images[1:])
    cases = [files for files in cases if files.images[0] not in further]
    names = [composed(files.name) for files in cases]
    if len(set(names)) < len(names):
        names = named_cases(root, [("", files.images[0]) for files in cases])
    taken = {case.name for case in others}
    apart = [replace(files, name=_free(name, taken)) for files, name in zip(cases, names, strict=True)]
    return sorted(apart, key=lambda files: files.name)


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken; taken from now on."""
    free = next(one for n in range(1, len(taken) + 2) if (one := name if n == 1 else f"{name} {n}") not in taken)
    taken.add(free)
    return free


@dataclass
class ListedCase:
    """One line of the page's list.

    Attributes:
        id: By which the page calls it.
        files: Where it lies.
        key: What tells it apart from others at the next start: its image's path in the folder.
        split: Of the data set, if it has any.
        uploaded: Whether it was dropped on the page, and is no part of the folder.
        error: Why it cannot be opened, if that is known.
        score: Mean DSC of the prediction, where a label is there to compare it with.
    """

    id: int
    files: CaseFiles
    key: str
    split: str | None = None
    uploaded: bool = False
    error: str | None = None
    score: float | None = None

    @property
    def volume(self) -> bool:
        """Whether it is a volume rather than a picture."""
        return format_of(self.files.images[0]).volumes


def listed_cases(folder: Folder | None) -> list[ListedCase]:
    """The page's list of a folder."""
    if folder is None:
        return []
    return [
        ListedCase(number, files, os.path.relpath(files.images[0], folder.root), folder.splits.get(files.name))
        for number, files in enumerate(folder.cases)
    ]
