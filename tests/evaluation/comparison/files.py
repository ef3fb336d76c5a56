"""metrics.json files of a few cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Values = Mapping[str, Sequence[float | None]]
"""DSC of each case: of the classes but the background."""

ORACLE = "upper bound, uses the ground truth: the best mask of each class is taken"


def write(folder: Path, values: Values, classes: Sequence[str] = ("liver", "spleen"), **content: Any) -> Path:
    """Write a metrics.json with DSC, IoU and the truth's voxels of each case and class; its folder.

    Args:
        folder: New or there already.
        values: DSC of each case.
        classes: Names without background.
        **content: Further keys, or other values of those there are.
    """
    cases = {
        case: {
            "background": {"dsc": 0.99, "iou": 0.98, "truth_voxels": 1000},
            **{
                name: {"dsc": dsc, "iou": None if dsc is None else dsc / (2 - dsc), "truth_voxels": 100}
                for name, dsc in zip(classes, row, strict=True)
            },
        }
        for case, row in values.items()
    }
    everything = {"protocol": "samtailor", "upper_bound": None, "classes": ["background", *classes], "cases": cases}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({**everything, **content}))
    return folder
