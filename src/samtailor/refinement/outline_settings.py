"""Which prompts an outline becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from samtailor.errors import ConfigError
from samtailor.refinement.step import Step
from samtailor.settings import Count, Fraction, Within


@dataclass(frozen=True)
class OutlinePrompts(Step, group="refine.outline"):
    """Prompts for each connected object of each class: points along its outline, a box around it, its rough mask.

    Attributes:
        from_: What the outlines are those of: the 'classes' of the first pass; or regions of the image, each of the
            class that is most probable in it, by 'threshold' (Otsu's), 'watershed' or 'slic'.
        points: Places at equal distances along an outline; each gives a point on the object and one beside it.
        push: How far from the outline the points lie, in pixels of the network's input; less inside what is thin.
        box: Whether the box is part of the prompt.
        margin: How far the box reaches over its object, as a fraction of the object's longer side; at least one pixel.
        mask: Whether the rough mask is part of the prompt.
        weight: Share of the second pass: 0 is the first pass alone.
        smallest: Objects of fewer pixels of the network's class maps are left as they are.
        most: Objects of a window that are drawn again, the largest ones.
    """

    from_: Literal["classes", "threshold", "watershed", "slic"] = "classes"
    points: Annotated[int, Within(0, 128)] = 8
    push: Annotated[float, Within(0, 64)] = 2.0
    box: bool = True
    margin: Fraction = 0.1
    mask: bool = False
    weight: Fraction = 0.5
    smallest: Count = 4
    most: Count = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.points or self.box or self.mask):
            raise ConfigError("refine.outline: expected points, box or mask in the prompts; found none of them")
