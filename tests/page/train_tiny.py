"""The command line in which the network of the tests is a base of the zoo: its weights, then the words of a call."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from samtailor.__main__ import run
from samtailor.models.zoo import BASES
from tests.tiny_base import tiny_base

if __name__ == "__main__":
    base = tiny_base(Path(sys.argv.pop(1)))
    BASES[base.name] = base
    sys.exit(run())
