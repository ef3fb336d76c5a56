"""Settings of a zero-shot baseline: the command line and the YAML file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from samtailor.data.intensity_settings import IntensityConfig
from samtailor.errors import ConfigError
from samtailor.metrics.protocols import ProtocolName
from samtailor.zeroshot.generator_settings import GeneratorSettings

Kind = Literal["everything", "box", "point", "points"]


@dataclass(frozen=True)
class BaselineConfig(GeneratorSettings):
    """Score what a base model finds without fitting; every score is an upper bound, since it uses the ground truth.

    Attributes:
        data: Labelled folder.
        out: Folder of the results; an interrupted baseline goes on there.
        base: Base model, by its name in the zoo.
        kind: 'everything' segments without prompts and takes for each class the mask with the highest Dice; 'box'
            prompts with a tight box around each connected object of a class, 'point' with one point, the farthest from
            the border of the largest object, 'points' with several points drawn from the class.
        points: Points drawn for each class (kind 'points').
        split: Cases to score.
        fold: Entry of splits_final.json (nnU-Net layout).
        slices: Slices with foreground, or pictures, drawn from all; every one if None.
        seed: Seed of the drawn slices and points, of the bootstrap, and of the split if the folder names none.
        protocol: Rules of the scores; the data set's own, or else SamTailor's, if None.
        weights: Weights of the base, if not the published ones: a file, a folder in transformers' format, a hub name.
        image_size: Side of the network's input, in pixels; that of the pretraining if None.
        intensity: How file intensities become the 8 bits that the network sees.
        bootstrap: Resamples of the 95 % intervals.
        device: 'auto' takes a GPU if there is one.
    """

    data: str
    out: str
    base: str = "sam-vit-b"
    kind: Kind = "everything"
    points: int = 3
    split: Literal["train", "val", "test"] = "test"
    fold: int = 0
    slices: int | None = None
    seed: int = 0
    protocol: ProtocolName | None = None
    weights: str | None = None
    image_size: int | None = None
    intensity: IntensityConfig = IntensityConfig()
    bootstrap: int = 1000
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("points", "slices", "bootstrap"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, found {value}")

    def generator(self) -> GeneratorSettings:
        """How masks are generated."""
        return GeneratorSettings(**{f.name: getattr(self, f.name) for f in fields(GeneratorSettings)})

    @property
    def upper_bound(self) -> str:
        """What every score of this baseline is, in a sentence."""
        how = {
            "everything": f"of all masks that {self.base} makes without a prompt, the one with the highest Dice is "
            "taken for each class of a slice",
            "box": f"{self.base} is prompted with a tight box around each object of a class",
            "point": f"{self.base} is prompted with one point in the middle of a class's largest object",
            "points": f"{self.base} is prompted with {self.points} points drawn from the class",
        }
        return f"upper bound, uses the ground truth: {how[self.kind]}"
