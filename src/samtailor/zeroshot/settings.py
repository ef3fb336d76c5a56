"""Settings of the automatic mask generator, as the originals name them, and of a zero-shot baseline."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from samtailor.errors import ConfigError, counted
from samtailor.metrics.protocols import ProtocolName
from samtailor.settings import (
    AnyPath,
    Checked,
    Count,
    Device,
    Finite,
    Index,
    IntensityConfig,
    Recognition,
    Resamples,
    Seed,
    Selection,
    Side,
    Split,
    Weight,
    Within,
    as_text,
)

if TYPE_CHECKING:
    from samtailor.models.zoo import Base

Kind = Literal["everything", "box", "point", "points"]

BOX_FITTED = frozenset({"medsam-vit-b", "lite-medsam"})
"""Bases that were fitted with boxes and a single mask only: for points, their predicted IoU, their stability and their
three further masks say nothing, and SAM's thresholds would drop everything."""


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(Checked):
    """How masks are generated without a prompt; names and defaults are those of SAM's and SAM 2's own generators.

    Attributes:
        points_per_side: Points along a side of the grid; every point is a prompt.
        points_per_batch: Points in memory at once.
        pred_iou_thresh: Masks whose predicted IoU is not above are dropped; by default the original's, 0.88 for
            SAM and 0.8 for SAM 2, and 0 (nothing is dropped) for MedSAM and LiteMedSAM, which know boxes only.
        stability_score_thresh: Masks of a lower stability are dropped: the IoU of the mask at a higher and at a lower
            logit threshold. By default the original's 0.95, and 0 for MedSAM and LiteMedSAM.
        stability_score_offset: How much higher and lower.
        box_nms_thresh: Of masks whose boxes have a larger IoU, the one with the highest predicted IoU is kept.
        crop_n_layers: Layers of crops that are segmented as well; layer i has 4^i.
        crop_nms_thresh: As `box_nms_thresh`, between crops; smaller crops come first.
        crop_overlap_ratio: How much the crops of the first layer overlap, as a fraction of the shorter side.
        crop_n_points_downscale_factor: Layer i has so many times fewer points along a side, to the power of i.
        min_mask_region_area: Holes and islands smaller than this are removed (pixels of the image; of the network's
            low-resolution mask in SAM 2).
        mask_threshold: Logit above which a pixel belongs to a mask.
        use_m2m: Each mask is given to the decoder once more, as a prompt.
        multimask_output: Three masks for each point instead of one; by default, but for MedSAM and LiteMedSAM, which
            were fitted with one.
    """

    points_per_side: Annotated[int, Within(1, 1024)] = 32
    points_per_batch: Count = 64
    pred_iou_thresh: Finite | None = None
    stability_score_thresh: Finite | None = None
    stability_score_offset: Weight = 1.0
    box_nms_thresh: Finite = 0.7
    crop_n_layers: Annotated[int, Within(0, 8)] = 0
    crop_nms_thresh: Finite = 0.7
    crop_overlap_ratio: Annotated[float, Within(0, 0.99)] = 512 / 1500
    crop_n_points_downscale_factor: Annotated[int, Within(1, 1024)] = 1
    min_mask_region_area: Annotated[int, Within(0, 2**31 - 1)] = 0
    mask_threshold: Finite = 0.0
    use_m2m: bool = False
    multimask_output: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        fewest = self.points_per_side // self.crop_n_points_downscale_factor**self.crop_n_layers
        if fewest < 1:
            raise ConfigError(
                f"crop_n_points_downscale_factor: expected a point in each crop, found none in layer "
                f"{self.crop_n_layers}; use more points_per_side, fewer layers or a smaller factor"
            )

    def for_base(self, base: Base) -> GeneratorSettings:
        """The same with the base's default for what is None."""
        boxes = base.name in BOX_FITTED
        defaults: dict[str, Any] = {
            "pred_iou_thresh": 0.0 if boxes else 0.8 if base.family == "sam2" else 0.88,
            "stability_score_thresh": 0.0 if boxes else 0.95,
            "multimask_output": not boxes,
        }
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})


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
        fold: Entry of splits_final.json, or one of five folds where the folder has no such file; by default its own
            splits.
        dataset: 'none' takes the folder for no data set that is known by name, whatever its files are called.
        bands: Which bands are used of pictures with more than three, by number from 1 such as 4,3,2 (or by the names
            that dataset.json gives them); or 'all', of which the base sees the mean.
        slices: Slices with foreground, or pictures, drawn from all; by default every one.
        seed: Seed of the drawn slices and points, and of the bootstrap.
        protocol: Rules of the scores; by default those of evaluate.
        weights: Weights of the base, if not the published ones: a file, a folder in transformers' format, a hub name.
        image_size: Side of the network's input, in pixels; by default that of the pretraining.
        intensity: How file intensities become the 8 bits that the network sees.
        bootstrap: Resamples of the 95 % intervals.
        device: 'auto' takes a GPU if there is one.
    """

    data: AnyPath
    out: AnyPath
    base: str = "sam-vit-b"
    kind: Kind = "everything"
    points: Count = 3
    split: Split = "test"
    fold: Index | None = None
    dataset: Recognition = "auto"
    bands: str | None = None
    slices: Count | None = None
    seed: Seed = 0
    protocol: ProtocolName | None = None
    weights: AnyPath | None = None
    image_size: Side | None = None
    intensity: IntensityConfig = IntensityConfig()
    bootstrap: Resamples = 1000
    device: Device = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_text(self, "data", "out", "weights")

    @property
    def selection(self) -> Selection:
        """What is taken of the labelled folder."""
        return Selection(self.fold, self.dataset, self.bands)

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
            "points": f"{self.base} is prompted with {counted(self.points, 'point')} drawn from the class",
        }
        return f"upper bound, uses the ground truth: {how[self.kind]}"
