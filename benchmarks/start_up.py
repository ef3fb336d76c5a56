"""How long the command line takes to begin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.line import Place, Prepared, Side


def start_up(option: str) -> Callable[[Side, Place], Prepared]:
    """`samtailor` with an option that only prints; the peer is an empty program that imports torch."""

    def prepare(side: Side, place: Place) -> Prepared:
        rest = ["-m", "samtailor", option] if side == "ours" else ["-c", "import torch"]
        command = [sys.executable, *rest]
        return Prepared(lambda: subprocess.run(command, check=True, capture_output=True), holder=None)

    return prepare
