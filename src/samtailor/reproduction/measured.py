"""Scores of the finished cells of an experiment."""

from __future__ import annotations

import numpy as np

from samtailor.evaluation.cases import protocol_of
from samtailor.reproduction.cells import MAIN, Cell, Fit
from samtailor.reproduction.own_protocol import ProtocolResult
from samtailor.reproduction.page import Measured
from samtailor.reproduction.pictures import Shown
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.results import ColumnResult, present_dsc
from samtailor.reproduction.scoring import evaluate_fit, read_metrics, score_on_slices


def measure(plan: Plan, device: str = "auto") -> Measured:
    """Score the finished cells of an experiment."""
    protocol = protocol_of(plan.dataset)
    for cell in plan.fits:
        evaluate_fit(cell, plan.dataset, plan.split, list(dict.fromkeys((MAIN, protocol))), device)
    results: list[ColumnResult] = []
    own: list[ProtocolResult] = []
    shown: list[Shown] = []
    for column, cells in plan.cells.items():
        metrics = [read_metrics(cell.evaluation(plan.split)) for cell in cells]
        fits = [cell for cell in cells if isinstance(cell, Fit)]
        on_slices_of = {
            other.column.name: np.stack(
                [present_dsc(score_on_slices(fit, plan.dataset, plan.split, other)) for fit in fits]
            )
            for other in (plan.zero_shots if fits else ())
        }
        base, names = cells[0].config.base, tuple(metrics[0]["classes"])
        dsc = np.stack([present_dsc(content) for content in metrics])
        scored = _scored(cells[0], len(metrics[0]["cases"]))
        results.append(ColumnResult(column, base, cells, dsc, names, scored, on_slices_of))
        shown.append(Shown(results[-1], cells[0].predictions(plan.split), metrics[0]))
        if fits:
            by_own_rules = (read_metrics(fit.evaluation(plan.split, protocol)) for fit in fits)
            own.append(ProtocolResult(column, tuple(by_own_rules)))
    return Measured(plan, tuple(results), protocol, tuple(own), tuple(shown))


def _scored(cell: Cell, cases: int) -> str:
    """What was scored of a column, in words."""
    if isinstance(cell, Fit):
        return f"{cases} whole cases"
    count = sum(len(indices) for indices in cell.slices().values())
    return f"{count} pictures" if count == cases else f"{count} slices of {cases} cases, those of a case taken together"
