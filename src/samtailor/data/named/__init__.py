"""Data sets by name: folders as their publishers ship them, one data set per file, and the registry of all.

Each is known by its classes, split, protocol and publisher's page, so that nothing has to be configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from samtailor.data.named.btcv import BTCV
from samtailor.data.named.flare22 import FLARE22
from samtailor.data.named.gid5 import GID5
from samtailor.data.named.named_dataset import DatasetName, NamedDataset
from samtailor.data.named.sirst import SIRST
from samtailor.labels import LabelSpace

__all__ = ["NAMED", "DatasetName", "NamedDataset", "looking_like", "published"]

NAMED: dict[DatasetName, NamedDataset] = {data.name: data for data in (FLARE22, GID5, SIRST, BTCV)}
"""All data sets known by name, in the order in which a folder is compared with them."""


def looking_like(root: Path) -> NamedDataset | None:
    """The data set whose publisher's folder this is, complete or not; None if it looks like none of them."""
    return next((named for named in NAMED.values() if named.looks_like(root)), None)


def published(labels: LabelSpace, cases: Iterable[str], title: object = None) -> NamedDataset | None:
    """The data set whose cases a folder holds that is laid out otherwise than its publisher does.

    Classes alone say nothing: many data sets have those of another.

    Args:
        labels: Label space of the folder: exactly the data set's classes, in its order.
        cases: Names of all cases, which are called as the publisher's, unless the folder says which data set it is.
        title: Name that the folder gives itself, if any; another name than the data set's means other data (the
            phantom has FLARE22's classes).
    """
    named = next((named for named in NAMED.values() if named.labels.names == labels.names), None)
    if named is None:
        return None
    if title and isinstance(title, str):
        return named if any(alias in title.lower() for alias in named.aliases) else None
    return named if all(re.fullmatch(named.cases, case, re.IGNORECASE) for case in cases) else None
