"""Data sets by name: folders as their publishers ship them, one data set per file, and the registry of all.

Each is known by its classes, split, protocol and publisher's page, so that nothing has to be configured.
"""

from __future__ import annotations

from pathlib import Path

from samtailor.data.named.btcv import BTCV
from samtailor.data.named.flare22 import FLARE22
from samtailor.data.named.gid5 import GID5
from samtailor.data.named.named_dataset import DatasetName, NamedDataset
from samtailor.data.named.sirst import SIRST
from samtailor.labels import LabelSpace

__all__ = ["NAMED", "DatasetName", "NamedDataset", "looking_like", "with_classes"]

NAMED: dict[DatasetName, NamedDataset] = {data.name: data for data in (FLARE22, GID5, SIRST, BTCV)}
"""All data sets known by name, in the order in which a folder is compared with them."""


def looking_like(root: Path) -> NamedDataset | None:
    """The data set whose publisher's folder this is, complete or not; None if it looks like none of them."""
    return next((named for named in NAMED.values() if named.looks_like(root)), None)


def with_classes(labels: LabelSpace, title: object = None) -> NamedDataset | None:
    """The data set that has exactly these classes, in this order.

    Args:
        labels: Label space of a folder in one of our own layouts.
        title: Name that the folder gives itself, if any; another name than the data set's means other data of the
            same classes (the phantom has FLARE22's).
    """
    named = next((named for named in NAMED.values() if named.labels.names == labels.names), None)
    if named and title and isinstance(title, str) and not any(alias in title.lower() for alias in named.aliases):
        return None
    return named
