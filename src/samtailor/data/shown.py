"""What a case shows: its label is read once as long as the file does not change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.conditions import count_ids
from samtailor.data.formats import label_format_of, read_geometry
from samtailor.errors import DataError
from samtailor.labels import LabelSpace
from samtailor.progress import report

_THREADS = 4


Trait = tuple[str, int]
"""A class, by its id, that a case 'shows', or that it shows 'most' of."""


def traits_of(cases: Sequence[CaseFiles], labels: LabelSpace) -> dict[str, frozenset[Trait]]:
    """What classes, but the background, occur in the label of each case; none if it cannot be read."""
    shown = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda case: _shown(case, labels, _state(case.label)), cases)
        for done, (case, ids) in enumerate(zip(cases, found, strict=True), start=1):
            shown[case.name] = ids
            report("looking at labels", done, len(cases))
    return shown


def _state(path: Path | None) -> tuple[int, int] | None:
    """What changes when a label does; of one that is a part of a file, when the file does."""
    for file in [path, path.parent] if path else []:
        if os.path.isfile(file):
            status = os.stat(file)
            return status.st_size, status.st_mtime_ns
    return None


@lru_cache(maxsize=1 << 16)
def _shown(case: CaseFiles, labels: LabelSpace, state: tuple[int, int] | None) -> frozenset[Trait]:
    if case.label is None:
        return frozenset()
    try:
        ids, _ = label_format_of(case.label).read_ids(case.label, labels, read_geometry(case.images[0]))
    except DataError:  # the check of the case says so
        return frozenset()
    counts = {identifier: count for identifier, count in count_ids(ids).items() if identifier in labels.ids[1:]}
    most = [("most", max(counts, key=lambda identifier: counts[identifier]))] if counts else []
    return frozenset([*(("shows", identifier) for identifier in counts), *most])
