"""The command line with the base of the tests, as a program that the page can start."""

from __future__ import annotations

import sys
from pathlib import Path

from samtailor.cli import main
from samtailor.models.zoo import BASES
from tests.tiny_base import tiny_base

ROOT = Path(__file__).parents[2]
SHORT = ["--epochs", "1", "--sampling.image_size", "32"]


def program(weights: str | Path) -> list[str]:
    """Words that start it, wherever and however the tests were started: the command line's own follow."""
    here = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    code = f"{here}\nfrom tests.page.program import run\nsys.exit(run(sys.argv[1:]))"
    return [sys.executable, "-c", code, str(weights)]


def run(words: list[str]) -> int:
    """Run words of the command line behind the path of the base's weights.

    Where a training is to end in a time, it has one epoch instead: how many end in a time depends on the machine.
    """
    weights, *words = words
    BASES["tiny-sam"] = tiny_base(Path(weights))
    if "--time" in words:
        place = words.index("--time")
        words[place : place + 2] = SHORT
    return main(words)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
