"""What an absent class scores: the rules in use, by name.

Numbers are not comparable across rules, so every table and file names the one it was made with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

EmptyRule = Literal["nnunet", "flare22", "monai", "transunet"]


@dataclass(frozen=True)
class EmptyValues:
    """Scores of a class that is absent from the truth; a class that is missed scores 0 in every rule.

    Attributes:
        both_empty: Score where neither truth nor prediction has the class; NaN is left out of means.
        false_positive: Score where only the prediction has the class.
        description: The rule in one sentence.
    """

    both_empty: float
    false_positive: float
    description: str


EMPTY_RULES: dict[EmptyRule, EmptyValues] = {
    "nnunet": EmptyValues(
        math.nan,
        0.0,
        "A class absent from truth and prediction of a case is left out of the means; predicted where it is "
        "absent it scores 0, missed it scores 0 (as nnU-Net evaluates).",
    ),
    "flare22": EmptyValues(
        1.0,
        0.0,
        "A class absent from truth and prediction of a case scores 1; predicted where it is absent it scores "
        "0, missed it scores 0 (as FLARE22 evaluates).",
    ),
    "monai": EmptyValues(
        math.nan,
        math.nan,
        "A class absent from the truth of a case is left out of the means even where it is predicted: false "
        "positives are forgiven; missed it scores 0 (as MONAI's DiceMetric does by default).",
    ),
    "transunet": EmptyValues(
        0.0,
        1.0,
        "A class absent from truth and prediction of a case scores 0; predicted where it is absent it scores "
        "1, missed it scores 0 (as the code of TransUNet and SAMed does: to compare with their numbers).",
    ),
}
"""The rules by name (TransUNet, FLARE22, nnU-Net and MONAI differ in what an empty class counts)."""
