"""The fitted columns by the rules of their data set, next to what others publish by the same rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES, PROTOCOLS, ProtocolName
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reproduction.columns import Column
from samtailor.reproduction.results import Number


@dataclass(frozen=True)
class ProtocolResult:
    """What one fitted column scores by a protocol.

    Attributes:
        column: Which one.
        metrics: Content of `metrics.json` of each seed.
    """

    column: Column
    metrics: tuple[Mapping[str, Any], ...]

    def number(self, *keys: str) -> Number:
        """Mean over the seeds of a number in `metrics.json`; undefined where it is not there."""
        return Number.of(np.array([_at(content, keys) for content in self.metrics]))


def protocol_table(protocol: ProtocolName, results: Sequence[ProtocolResult]) -> Table:
    """One row per score of the protocol, one column per fit."""
    rules = PROTOCOLS[protocol]
    rows: list[tuple[str, tuple[str, ...]]] = [
        (OVERALL_NAMES[name], ("overall", name)) for name in rules.overall if name in results[0].metrics[0]["overall"]
    ]
    for metric in rules.metrics:
        if metric in results[0].metrics[0]["mean_with_background"]:
            rows += [
                (f"mean {METRIC_NAMES[metric]} {what} background", (f"mean_{what}_background", metric))
                for what in ("with", "without")
            ]
    rows += [(f"pooled DSC {what} background", (f"pooled_{what}_background", "dsc")) for what in ("with", "without")]
    cells = tuple((label, *(str(result.number(*keys)) for result in results)) for label, keys in rows)
    header = (f"protocol '{protocol}'", *(result.column.title for result in results))
    return Table(header, cells, (rules.description,))


def field_table(field: Sequence[Mapping[str, Any]], results: Sequence[ProtocolResult], base: str, split: str) -> Table:
    """Small infrared targets: published methods, then ours.

    Args:
        field: Published numbers: method, iou and pd in %, niou, fa in a million pixels, split, source.
        results: Ours by the protocol irstd.
        base: Our base.
        split: Our split, in words.
    """
    rows = [
        (
            str(entry["method"]),
            *(f"{entry[key]:.2f}" if key in entry else UNDEFINED for key in ("iou", "niou", "pd", "fa")),
            str(entry["split"]),
            str(entry["source"]),
        )
        for entry in field
    ]
    for result in results:
        cells = [_two_decimals(result.number("overall", key), 100) for key in ("iou", "niou", "pd")]
        cells.append(_two_decimals(result.number("overall", "fa")))
        rows.append((f"{result.column.title}, {base}", *cells, split, "this page"))
    note = "IoU: of the targets over the pixels of all images. Numbers on different splits do not compare."
    return Table(("method", "IoU %", "nIoU %", "Pd %", "Fa 1e-6", "split", "source"), tuple(rows), (note,))


def _two_decimals(number: Number, factor: int = 1) -> str:
    if np.isnan(number.mean):
        return UNDEFINED
    text = f"{factor * number.mean:.2f}"
    return text if np.isnan(number.deviation) else f"{text} ± {factor * number.deviation:.2f}"


def _at(content: Any, keys: Sequence[str]) -> float:
    """A number in nested dictionaries; NaN where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return float("nan") if content is None else float(content)
