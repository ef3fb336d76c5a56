"""The verb `reproduce`: list the cells, make what is missing, say where the page is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samtailor.reproduction.settings import ReproduceConfig


def reproduce(config: ReproduceConfig) -> int:
    """Print table 3, or measure another table or figure."""
    if config.what == "table3":
        from samtailor.reproduction import table3

        print(table3.render())
        return 0
    from samtailor.reproduction.plan import lay_out

    print(lay_out(config).to_table().to_markdown())
    if config.dry_run:
        return 0
    _make(config)
    return 0


def _make(config: ReproduceConfig) -> None:
    """Measure, with bars on the screen, and say where the page is."""
    from samtailor.cli.progress import Bars
    from samtailor.reproduction.reproduce import reproduce as measure

    try:
        with Bars():
            page = measure(config)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt("the same command goes on where this one stopped") from interrupt
    print(f"page   {page.with_suffix('.html')}")
    print(f"       {page}")
