"""What the verb `baseline` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samtailor.zeroshot.settings import BaselineConfig


def baseline(config: BaselineConfig) -> int:
    """Run a baseline and print the table."""
    from samtailor.cli.progress import Bars, Downloads
    from samtailor.evaluation.tables import to_markdown
    from samtailor.models.zoo import weights_files
    from samtailor.zeroshot.run import baseline as score

    with Downloads() as downloads:
        weights_files(config.base, config.weights, downloads)
    with Bars() as bars:
        scores = score(config, lambda done, total: bars("slices", done, total))
    print(to_markdown(scores))
    print(f"tables and figures   {config.out}")
    return 0
