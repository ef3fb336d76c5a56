"""The command line in which the network of the tests is a base of the zoo: its weights, then the words of a training.

How long is given in epochs, whatever time is asked for: what a time holds is measured in processes that know no base of
the tests, and takes longer than the training of so small a network.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from samtailor.cli import main
from samtailor.models.zoo import BASES
from tests.tiny_base import tiny_base

if __name__ == "__main__":
    weights, *words = sys.argv[1:]
    words[words.index("--time") : words.index("--time") + 2] = ["--epochs", "2"]
    BASES["tiny-sam"] = tiny_base(Path(weights))
    sys.exit(main(words))
