"""Which bands of pictures are used: who has more than three says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from samtailor.data.channels import COLOURS
from samtailor.data.layouts.contents import Contents
from samtailor.errors import ConfigError, FileError

_ALL = "all"


def with_bands(root: Path, contents: Contents, choice: str | None) -> Contents:
    """The contents with the bands that the user has chosen.

    Args:
        root: Folder, for the error.
        contents: What it holds.
        choice: Numbers, from 1, or names that dataset.json gives, joined by commas; or 'all'.

    Raises:
        FileError: If none are chosen of pictures of more than three bands of which nothing is known but that.
        ConfigError: If there are no such bands, or dataset.json chooses some already.
    """
    count = len(contents.channels)
    if choice is None:
        if contents.told and contents.bits is not None and contents.bands is None and count > COLOURS:
            fix = "choose three such as --bands 3,2,1, or take --bands all, which a learned projection brings to three"
            raise FileError(root, "a choice of the bands that are used", f"pictures of {count} bands and none", fix)
        return contents
    if choice.strip() == _ALL:
        return contents
    if contents.bits is None:
        raise ConfigError(f"bands: expected pictures; found volumes in {root}, of which all channels are used")
    if contents.bands is not None:
        chosen = ",".join(map(str, contents.bands))
        raise ConfigError(f"bands: expected no choice in {root}/dataset.json, found use_bands {chosen}; leave one out")
    numbers = [_number(band.strip(), contents, root) for band in choice.split(",")]
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"bands: expected each once, found {choice}")
    return replace(contents, channels=tuple(contents.channels[number - 1] for number in numbers), bands=tuple(numbers))


def _number(band: str, contents: Contents, root: Path) -> int:
    names = contents.channels
    if band in names:
        return names.index(band) + 1
    if not band.isdecimal() or not 1 <= int(band) <= len(names):
        known = f" or names of {', '.join(names)}" if contents.bands_there else ""
        raise ConfigError(f"bands: expected numbers from 1 to {len(names)}{known}, the bands in {root}; found '{band}'")
    return int(band)
