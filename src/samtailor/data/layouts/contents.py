"""What a layout finds in a folder, and how it finds files there by their names."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from samtailor.data.case import CaseFiles
from samtailor.data.channels import ChannelChoice
from samtailor.data.formats import accompanies, find_format, find_label_format, read_header
from samtailor.data.formats.format import LabelFormat
from samtailor.errors import FileError, Finding, SamTailorError, listed
from samtailor.labels import LabelSpace


@dataclass(frozen=True)
class Contents:
    """Classes and cases of a folder.

    Attributes:
        labels: Label space.
        cases: Sorted by name; `label` is None where the file is missing.
        channels: Name of each image channel: ('CT',), ('R', 'G', 'B'), ('gray',), ('band 1', 'band 2', ...), ...
        bands: Numbers, from 1, of the channels that are taken of each file with others; None takes files as they are.
        bands_there: How many channels the folder says that its files have, if it says so.
        splits: Case names of each split that the names of files and folders show.
        shows_splits: Whether they are what names and lists show, because no dataset.json names any.
        told: What was taken for what, in words, by what it is; empty where dataset.json says all.
        bits: Bits per channel of pictures, the most of any; None for volumes.
        orphans: Label or channel files that belong to no case.
        remarks: What the layout itself finds worth telling: cases left out, parts that are missing.
        largest: Rows and columns of the picture with the longest side; None for volumes.
        title: What the folder says of its own name, if anything.
    """

    labels: LabelSpace
    cases: tuple[CaseFiles, ...]
    channels: tuple[str, ...]
    bits: int | None = None
    orphans: tuple[Path, ...] = ()
    remarks: tuple[Finding, ...] = ()
    largest: tuple[int, int] | None = None
    title: Any = None
    bands: tuple[int, ...] | None = None
    bands_there: int | None = None
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shows_splits: bool = False
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def channel_choice(self) -> ChannelChoice:
        """What is taken of an image."""
        return self.bands or len(self.channels)

    def showing(self, splits: Mapping[str, tuple[str, ...]]) -> Self:
        """The same with the splits that names and lists show; training cases alone are all there is, and show none."""
        return replace(self, splits={} if splits.keys() == {"train"} else splits, shows_splits=True)

    @classmethod
    def from_pictures(
        cls,
        labels: LabelSpace,
        images: Mapping[str, Path],
        masks: Mapping[str, Path],
        remarks: tuple[Finding, ...] = (),
        title: Any = None,
    ) -> Self:
        """Pictures and their masks, both by name, and what the headers of all pictures say; no pixel is read.

        Pictures that cannot be opened do not count in that; reading or checking them says so. The channels are
        colour if any picture is coloured (gray ones are then repeated), else what most pictures have.
        """
        counts: Counter[int] = Counter()
        bits, largest = 8, None
        for file in images.values():
            try:
                header = read_header(file)
            except FileError:
                continue
            counts[header.channels] += 1
            bits = max(bits, header.bits)
            size = header.geometry.shape[1:]
            largest = size if largest is None else max(largest, size, key=max)
        cases, orphans = pair(images, masks)
        return cls(labels, cases, _channel_names(counts), bits, orphans, remarks, largest, title)


def _channel_names(counts: Counter[int]) -> tuple[str, ...]:
    """Names of the channels that most pictures have, by how many pictures have how many."""
    if counts[3]:
        counts[3] += counts.pop(1, 0)  # they are repeated
    match max(counts, key=lambda channels: (counts[channels], channels), default=1):
        case 1:
            return ("gray",)
        case 3:
            return ("R", "G", "B")
        case channels:
            return tuple(f"band {band}" for band in range(1, channels + 1))


def pair(images: Mapping[str, Path], labels: Mapping[str, Path]) -> tuple[tuple[CaseFiles, ...], tuple[Path, ...]]:
    """A case of each image and the label of the same name, if there is one; labels without image."""
    cases = tuple(CaseFiles(name, (file,), labels.get(name)) for name, file in images.items())
    return cases, tuple(file for name, file in labels.items() if name not in images)


def label_space(
    path: Path,
    names: tuple[str, ...],
    ids: tuple[int, ...],
    palette: tuple[tuple[int, int, int], ...],
    ignore_id: int | None,
    column: str | None = None,
    layer: str | None = None,
    threshold: int | None = None,
) -> LabelSpace:
    """Label space that a dataset.json describes."""
    try:
        return LabelSpace(names, ids, palette, ignore_id, threshold, column, layer)
    except SamTailorError as error:
        expected = "classes with names and ids of their own"
        raise FileError(path, expected, str(error), "rename or renumber them") from error


def read_split(path: Path, content: Any, name: str) -> tuple[str, ...]:
    """Case names of one split, sorted."""
    if not isinstance(content, list) or not all(isinstance(case, str) for case in content):
        raise FileError(path, f"a list of case names for split '{name}'", f"{content!r:.80}", "write a list of strings")
    return tuple(sorted(map(composed, content)))


def composed(name: str) -> str:
    """A name by which files are matched: Unicode has two spellings of 'é', and systems write one or the other."""
    return unicodedata.normalize("NFC", name)


def visible_entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted, without what is hidden (macOS leaves '._x' files next to images)."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise FileError(folder, "a folder that can be read", found, "change its permissions") from error


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder, sorted, without hidden ones; with links to nothing, which are missed when they are read."""
    return [path for path in visible_entries(folder) if not os.path.isdir(path)]


def folders_below(root: Path, depth: int = 5, above: frozenset[str] = frozenset()) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and those in it, down to a depth, each with what it holds; links that lead up again are not followed.

    Folders that are images themselves are not looked into.
    """
    inside = visible_entries(root)
    yield root, inside
    above |= {os.path.realpath(root)}
    for path in inside if depth else ():
        if os.path.isdir(path) and find_format(path) is None and os.path.realpath(path) not in above:
            yield from folders_below(path, depth - 1, above)


def by_name(folder: Path, name_of: Callable[[Path], str | None], folders: bool = False) -> dict[str, Path]:
    """Visible files by the names that a function gives them, sorted, none of them twice; None leaves a file out.

    With `folders`, the function is asked about them, too.
    """
    files = defaultdict(list)
    for file in visible_entries(folder) if folders else visible_files(folder):
        if (name := name_of(file)) is not None:
            files[composed(name)].append(file)
    for name, found in files.items():
        if len(found) > 1:
            names = " and ".join(ascii(file.name)[1:-1] for file in found)  # shows what looks alike
            raise FileError(folder, f"one file named '{name}'", names, "rename or remove one of them")
    return {name: files[name][0] for name in sorted(files)}


def matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Visible files whose whole name matches, by what the first group of the pattern catches."""
    return by_name(folder, lambda file: match[1] if (match := re.fullmatch(pattern, file.name)) else None)


def by_stem(folder: Path, ending: str = "", labels: bool = False) -> dict[str, Path]:
    """Pictures, or their labels, in a folder by stem; those with the ending only, which is taken off."""

    def name_of(file: Path, find: Callable[[Path], LabelFormat | None] = find_format) -> str | None:
        format = find(file)
        stem = format.stem_of(file) if format and not format.volumes else ""
        return stem.removesuffix(ending) if stem and stem.endswith(ending) else None

    files = by_name(folder, name_of)
    if labels:  # outlines, but of what there are masks that were made of them
        masks = set(files.values())
        outlines = by_name(folder, lambda file: None if file in masks else name_of(file, find_label_format))
        files = dict(sorted((outlines | files).items()))
    return files


def passed_over(folder: Path, used: Container[Path], kinds: Sequence[str]) -> tuple[Finding, ...]:
    """The warning that a folder holds other things than images or labels of these kinds; none if it does not."""
    others = [path.name for path in visible_entries(folder) if path not in used and not accompanies(path)]
    if not others:
        return ()
    found = f"{len(others)} others, which are passed over: {listed(others)}"
    fix = "convert those that are images or labels, and take the rest away"
    return (Finding("warning", str(folder), f"files of the kinds {', '.join(kinds)}", found, fix),)


def entries(folder: Path) -> str:
    """The first names in a folder, for errors."""
    if not os.path.isdir(folder):
        return "no such folder"
    names = [path.name for path in visible_entries(folder)]
    more = f", ... ({len(names)} entries)" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more or "an empty folder"
