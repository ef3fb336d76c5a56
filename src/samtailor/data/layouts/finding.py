"""Cases of a folder that no dataset.json describes: each way to look for them in turn, by lists and by names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from samtailor.data.layouts import coco, lists, tree
from samtailor.data.layouts.found import Found
from samtailor.errors import Finding, listed

_FINDERS: tuple[Callable[[Path], Found | None], ...] = (lists.find, coco.find, tree.find)
"""Ways to find cases; each gives None where a folder is not of its kind."""


def find(root: Path) -> Found | None:
    """What the first way finds that finds anything; None if a folder has no labels.

    Raises:
        FileError: If what belongs together cannot be told.
    """
    found = next((found for finder in _FINDERS if (found := finder(root))), None)
    if found is None or not found.named:
        return found
    known = found.named | {case.label for case in found.cases}
    others = [file for file in tree.images(root, {file.parent for file in found.named}) if file not in known]
    if not others:
        return found
    what = f"{len(others)} without: {listed([file.relative_to(root).as_posix() for file in others], 3)}"
    fix = f"add them to {found.told.get('lists', 'the annotations')}, or let them be: they are left out"
    return replace(found, remarks=(*found.remarks, Finding("warning", str(root), "an entry for each image", what, fix)))
