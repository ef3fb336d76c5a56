"""Measuring a table or figure of the report again: make the missing cells, score all, write the page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.reporting.shown import Shown
from samtailor.reporting.table import Table
from samtailor.reporting.terminal import Block, to_text
from samtailor.reproduction.settings import ReproduceConfig
from samtailor.settings import takes

if TYPE_CHECKING:
    from samtailor.reproduction.plan import Plan

LOG = logging.getLogger("samtailor")


@dataclass(frozen=True)
class Reproduction(Shown):
    """What came of measuring a table or figure again.

    Attributes:
        text: What there is to read: table 3, the list of cells of a dry run, or where the page is.
        page: The page in Markdown, the same in HTML lies beside it; None where none was made.
    """

    text: str | Table
    page: Path | None = None

    def blocks(self) -> list[Block]:
        """What the command line shows."""
        return [self.text]


@takes(ReproduceConfig)
def reproduce(config: ReproduceConfig) -> Reproduction:
    """Measure a table or figure of the report again, and write a page with the published numbers beside ours.

    'boundaries' and 'robustness' are what the report proposes beyond its tables: fits with steps behind the network,
    and fits on corrupted images.

    What is finished with the same settings is taken as it is: the same command goes on after an interruption.

    Returns:
        Where the page is.

    Raises:
        SamTailorError: If a setting or the data is not as expected; nothing is written then.
    """
    from samtailor.inference.predictor import choose_device
    from samtailor.reproduction import table3
    from samtailor.reproduction.plan import lay_out

    if config.what == "table3":
        return Reproduction(table3.to_table())
    choose_device(config.device)
    plan = lay_out(config)
    cells = plan.to_table()
    if config.dry_run:
        return Reproduction(cells)
    LOG.info("%s", to_text([cells]))
    try:
        if config.finished:
            plan = plan.finished_only()
        else:
            plan = plan.with_weights()
            plan.make()
        page = _page(plan)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt("the same command goes on where this one stopped") from interrupt
    return Reproduction(f"page   {page.with_suffix('.html')}\n       {page}", page)


def _page(plan: Plan) -> Path:
    """Measure what the finished cells give, and write the page of the experiment."""
    match plan.config.what:
        case "boundaries":
            from samtailor.reproduction import boundaries

            return boundaries.write_page(plan)
        case "robustness":
            from samtailor.reproduction import robustness

            return robustness.write_page(plan)
        case _:
            from samtailor.reproduction import page, scoring

            return page.write_page(plan, scoring.score_columns(plan))
