"""The command line with predictions that take ten minutes: `python -m tests.page.slow WEIGHTS VERB ...`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from samtailor.cli import main
from samtailor.inference.predictor import Predictor
from samtailor.models.zoo import BASES
from samtailor.progress import report
from tests.tiny_base import tiny_base


def slow(*_: Any, **__: Any) -> None:
    print("computing", flush=True)
    for number in range(1200):
        time.sleep(0.5)
        report("slices", number, 1200)


if __name__ == "__main__":
    BASES["tiny-sam"] = tiny_base(Path(sys.argv[1]))
    Predictor.label = slow  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[2:]))
