"""The command line with predictions that take ten minutes: `python -m tests.page.slow WEIGHTS VERB ...`."""

from __future__ import annotations

import sys
import time
from typing import Any

from samtailor.inference.predictor import Predictor
from samtailor.progress import report
from tests.page.program import run


def slow(*_: Any, **__: Any) -> None:
    print("computing", flush=True)
    for number in range(1200):
        time.sleep(0.5)
        report("slices", number, 1200)


if __name__ == "__main__":
    Predictor.label = slow  # type: ignore[method-assign, assignment]
    sys.exit(run(sys.argv[1:]))
