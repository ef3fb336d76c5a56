"""The command line with the base of the tests: `python -m tests.page.program WEIGHTS VERB ...`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from samtailor.cli import main
from samtailor.models.zoo import BASES
from samtailor.training import planning
from samtailor.training.measure import Measurement, Probe, measure
from tests.tiny_base import tiny_base


def measured_here(job: Probe, limit: int) -> Measurement:
    """Measure in this process: another one would not know the base."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(job, Path(folder))


if __name__ == "__main__":
    BASES["tiny-sam"] = tiny_base(Path(sys.argv[1]))
    planning.planned.__defaults__ = (measured_here,)
    sys.exit(main(sys.argv[2:]))
