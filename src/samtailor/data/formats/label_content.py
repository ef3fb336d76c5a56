"""What a label file holds before anybody has said which classes there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

Colour = tuple[int, int, int]


def class_names_in(text: str | None) -> dict[int, str] | None:
    """Class name of each id, by the JSON that we leave in files; None of any other text."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):  # somebody else's
        return {int(i): str(name) for i, name in json.loads(text or "").items()}
    return None


@dataclass(frozen=True)
class LabelContent:
    """What a label file holds.

    Attributes:
        kind: Whether its numbers are 'ids' (of voxels, or the gray levels of a picture), indices of a 'palette' of
            colours, or 'colours' themselves; gray levels that are stored as colours are 'gray colours'. Outlines whose
            classes have no numbers are 'names'.
        ids: Pixels of each id, level or index; empty for colours.
        colours: Pixels of each colour; empty for ids.
        palette: Colour of each index.
        step: Factor from the ids to the levels that they show, where they have fewer than eight bits.
        nodata: Id that stands for no data, if the file names one.
        names: Class name of each id, if the file has them.
        objects: Objects of each class, by name, where there are no ids.
    """

    kind: Literal["ids", "palette", "colours", "gray colours", "names"]
    ids: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    palette: Mapping[int, Colour] = field(default_factory=dict)
    step: int = 1
    nodata: int | None = None
    names: Mapping[int, str] | None = None
    objects: Mapping[str, int] = field(default_factory=dict)

    @property
    def counted(self) -> dict[int, int]:
        """Pixels of each id but the one that stands for no data; 0 counts whatever it stands for."""
        return {identifier: n for identifier, n in self.ids.items() if not identifier or identifier != self.nodata}
