"""Pictures in a folder: found by name, and what their headers say about all of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_format, read_header
from samtailor.data.layouts.contents import visible_files
from samtailor.errors import FileError


@dataclass(frozen=True)
class PictureFacts:
    """What holds for all pictures of a folder.

    Attributes:
        channels: Colour if any picture is (gray ones are then repeated).
        bits: Bits per channel, the most of any.
        largest: Rows and columns of the picture with the longest side.
    """

    channels: tuple[str, ...]
    bits: int
    largest: tuple[int, int] | None


def by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Pictures of a folder by stem, sorted.

    Args:
        folder: The folder; none of its folders are looked into.
        ending: End of the stems of the pictures that count; it is taken off.

    Raises:
        FileError: If two have the same stem.
    """
    files = defaultdict(list)
    for file in visible_files(folder):
        format = find_format(file)
        if format and not format.volumes and (stem := format.stem_of(file)).endswith(ending):
            files[stem.removesuffix(ending)].append(file)
    for stem, found in files.items():
        if len(found) > 1:
            names = " and ".join(file.name for file in found)
            raise FileError(folder, f"one file named '{stem}'", names, "rename or remove one of them")
    return {stem: files[stem][0] for stem in sorted(files)}


def picture_facts(cases: tuple[CaseFiles, ...]) -> PictureFacts:
    """What the headers of all images say; no pixel is read.

    Pictures that cannot be opened do not count here; reading or checking them says so.
    """
    channels, bits, largest = 1, 8, None
    for case in cases:
        try:
            header = read_header(case.images[0])
        except FileError:
            continue
        channels, bits = max(channels, header.channels), max(bits, header.bits)
        size = header.geometry.shape[1:]
        largest = size if largest is None else max(largest, size, key=max)
    return PictureFacts(("R", "G", "B") if channels == 3 else ("gray",), bits, largest)
