"""Columns of the report's tables: a base as it is, or a fit of it by one recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samtailor.errors import ConfigError

UPPER_BOUND = "upper bound, uses the ground truth"
"""What is said wherever a zero-shot number stands: the mask is chosen by its Dice with the truth."""

_ZERO_SHOT = {"sam": ("SAM", "oracle"), "sam2": ("SAM2", "oracle-sam2")}
_FITS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "adapter": ("SAM Adapter", {"recipe": "adapter"}),
    "head-only": ("SAM head only", {"recipe": "head-only"}),
    "full": ("SAM full", {"recipe": "full"}),
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: 'sam', 'sam2', 'adapter', 'head-only', 'full', or 'lora-RANK'.

    Raises:
        ConfigError: If it is none of them.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in {*_ZERO_SHOT, *_FITS} and not self._rank:
            raise ConfigError(
                f"columns: expected sam, sam2, adapter, lora-RANK (lora-4), head-only or full; found '{self.name}'"
            )

    @property
    def _rank(self) -> int:
        """Rank of LoRA; 0 if it is not LoRA."""
        match = re.fullmatch(r"lora-([1-9]\d*)", self.name)
        return int(match[1]) if match else 0

    @property
    def is_zero_shot(self) -> bool:
        """Whether nothing is fitted."""
        return self.name in _ZERO_SHOT

    @property
    def cell(self) -> str:
        """Name of its directory."""
        return _ZERO_SHOT[self.name][1] if self.is_zero_shot else self.name

    @property
    def title(self) -> str:
        """What the report calls it."""
        if self.is_zero_shot:
            return _ZERO_SHOT[self.name][0]
        return f"SAM LoRA (r={self._rank})" if self._rank else _FITS[self.name][0]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the column itself sets of a training."""
        return {"recipe": "lora", "rank": self._rank} if self._rank else _FITS[self.name][1]
