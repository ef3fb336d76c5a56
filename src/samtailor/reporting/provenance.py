"""Tables that say how numbers came about: settings and machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import torch

from samtailor.reporting.table import Table


def settings_table(settings: Mapping[str, Any], heading: str = "setting") -> Table:
    """One row per setting, with dotted names, as the command line takes them."""
    return Table((heading, "value"), tuple(_flat(settings)))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def machine_table() -> Table:
    """Kind of machine and versions, which times and numbers depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    rows = [
        ("processor", f"{platform.machine()}, {os.cpu_count()} cores"),
        ("GPU", device),
        ("system", platform.system()),
        ("Python", platform.python_version()),
        *((name, version(name)) for name in ("samtailor", "torch", "lightning", "transformers", "peft", "monai")),
    ]
    return Table(("what", "which"), tuple(rows))
