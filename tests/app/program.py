"""The command line with the base of the tests: `python -m tests.app.program WEIGHTS VERB ...`."""

from __future__ import annotations

import sys
from pathlib import Path

from samtailor.cli import main
from samtailor.models.zoo import BASES
from tests.tiny_base import tiny_base

if __name__ == "__main__":
    BASES["tiny-sam"] = tiny_base(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
