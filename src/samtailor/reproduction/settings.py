"""Settings of `samtailor reproduce`: the command line and the YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from samtailor.settings import AnyPath, Checked, Device, Seed, as_text

ExperimentName = Literal[
    "table1",
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "figure5",
    "figure6",
    "figure7",
    "boundaries",
    "robustness",
]


@dataclass(frozen=True)
class ReproduceConfig(Checked):
    """Measure a table or figure of the report again and show it beside the published one.

    Attributes:
        what: The table or figure; or what the report proposes beyond these, with fits of its own: 'boundaries' (outline
            prompts, dense CRF, level sets) and 'robustness' (fits on corrupted images). table3 counts the parameters of
            LoRA and adapters on SAM ViT-B; it needs neither weights nor data, and is printed.
        data: Labelled folder of the report's data set, or of one that stands in for it (the heading says so).
        base: Base model that is fitted and tried without fitting; by default the report's.
        weights: Its weights, as for train.
        base2: Base model of the SAM 2 column; by default that of the experiment.
        weights2: Its weights.
        seeds: Seeds; every fitted column is trained once for each.
        columns: Columns of the table: sam, sam2, adapter, lora-RANK, head-only, full; or fits of boundaries and
            robustness; those of the experiment if none are given.
        out: Where the cells and the page are written; by default runs/ and the name of the table that owns the
            cells.
        settings: YAML file with a schedule of your own, with keys of the experiment's file such as 'train'.
        device: 'auto' takes a GPU if there is one.
        dry_run: Only list the cells, and what is missing.
        finished: Train nothing: make the page of what is finished, and say what is missing.
    """

    what: ExperimentName
    data: AnyPath | None = None
    base: str | None = None
    weights: AnyPath | None = None
    base2: str | None = None
    weights2: AnyPath | None = None
    seeds: Sequence[Seed] = (0,)
    columns: Sequence[str] = ()
    out: AnyPath | None = None
    settings: AnyPath | None = None
    device: Device = "auto"
    dry_run: bool = False
    finished: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        as_text(self, "data", "weights", "weights2", "out", "settings")
