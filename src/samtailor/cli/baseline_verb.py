"""What the verb `baseline` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samtailor.zeroshot.settings import BaselineConfig


def baseline(config: BaselineConfig) -> int:
    """Run a baseline and print the table."""
    from samtailor.cli.progress import Bars
    from samtailor.evaluation.tables import to_markdown
    from samtailor.models.zoo import weights_files
    from samtailor.zeroshot.run import baseline as score

    with Bars():
        weights_files(config.base, config.weights)
        scores = score(config)
    print(to_markdown(scores))
    print(f"tables and figures   {config.out}")
    return 0
