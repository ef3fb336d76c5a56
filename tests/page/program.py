"""The command line with the base of the tests: `python -m tests.page.program WEIGHTS VERB ...`.

Where a training is to end in a time, it has one epoch instead: how many end in a time depends on the machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from samtailor.cli import main
from samtailor.models.zoo import BASES
from tests.tiny_base import tiny_base

SHORT = ["--epochs", "1", "--sampling.image_size", "32"]

if __name__ == "__main__":
    BASES["tiny-sam"] = tiny_base(Path(sys.argv[1]))
    words = sys.argv[2:]
    if "--time" in words:
        place = words.index("--time")
        words[place : place + 2] = SHORT
    sys.exit(main(words))
