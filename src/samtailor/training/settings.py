"""Settings of a training run: one dataclass is the command line, the YAML file and the resolved config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from samtailor.data.channels import needs_projection
from samtailor.data.steps import DENOISE, Denoise
from samtailor.errors import ConfigError
from samtailor.kinds import Steps
from samtailor.recipes import USUAL, Recipe
from samtailor.recipes.flat import flatten, take_recipe
from samtailor.refinement import REFINE, Refine
from samtailor.settings import (
    AnyPath,
    Checked,
    Count,
    Device,
    Folds,
    Fraction,
    Index,
    IntensityConfig,
    Precision,
    Rare,
    Recognition,
    Seed,
    Selection,
    Side,
    TestTimeFlip,
    Weight,
    Within,
    Workers,
    as_text,
    from_plain,
    hints_of,
    require,
)

_STEPS: dict[str, Steps[Any]] = {"denoise": DENOISE, "refine": REFINE}
"""Settings that choose steps."""


@dataclass(frozen=True)
class AugmentConfig(Checked, group="augment"):
    """Random changes of training images; probabilities in [0, 1].

    `head-only` trains on embeddings that are computed once: of these changes only `corrupt` has an effect there.

    Attributes:
        flip: Axes that may be flipped: 'auto' is none of volumes, where anatomy has a left and a right, both of views
            from above (georeferenced, or known as remote sensing), and columns of other pictures; with `time` also
            both of pictures that are seen in crops, where over 99 % of the training pixels are background.
        affine: Probability of a rotation, scaling and shift.
        rotate: Largest rotation in degrees. 'auto' is 15; with `time` 180 where pictures that are nearly all background
            are flipped along both axes.
        zoom: Largest relative change of size.
        shift: Largest shift as a fraction of the image side.
        intensity: Probability of each of: change of contrast, of brightness, Gaussian noise, Gaussian blur.
        corrupt: Train also on copies of the training images that are damaged before everything else, denoising
            included: kinds of damage joined by commas (docs/guide/robustness.md lists them), 'auto' for those of the
            data's modality, or 'none'.
        copies: Damaged copies of each training image; every slice of a copy draws its own damage and severity. They
            lengthen an epoch, unless `sampling.per_epoch` says how long it is.
    """

    flip: Literal["auto", "none", "columns", "both"] = "auto"
    affine: Fraction = 0.5
    rotate: Annotated[float, Within(0, 180)] | Literal["auto"] = "auto"
    zoom: Annotated[float, Within(0, 0.9)] = 0.15
    shift: Fraction = 0.05
    intensity: Fraction = 0.15
    corrupt: str = "none"
    copies: Annotated[int, Within(1, 100)] = 2


Samples = Annotated[int, Within(1, 100_000_000)]
"""Samples of an epoch."""


@dataclass(frozen=True)
class SamplingConfig(Checked, group="sampling"):
    """Which slices and crops are trained on.

    Attributes:
        image_size: Side of the square the network sees, in pixels; by default the base's own size.
        field: Side, in pixels of the slice, of the square that is cropped and resized to `image_size`; a field
            smaller than `image_size` enlarges. 'null' (None) is the whole slice; 'auto', too, but of pictures whose
            longer side is more than four times `image_size` a crop of that size (224 for the scenes of GID-5).
        empty: Slices without foreground, as a fraction of those with; surplus is dropped. Crops lie where `rare` says.
        rare: Probability that a crop is centred on a pixel of a foreground class (each class present equally
            likely) rather than anywhere. 'auto' is 0.7, with `time` 0.4 where over 99 % of the training pixels are
            background, more of which is seen then.
        wide: Probability that a crop shows twice the side of `field`, or the whole slice where that is less: objects at
            half their size, and what is around them. In the first epoch, unless the head had some before it, none is
            wide, and all lie on objects. Predictions look at both scales, the wide one with this weight. Slices that
            are shown whole, and embeddings that are kept, have no crops. 'auto' is 0, with `time` 0.3 of pictures that
            are seen in crops, where over 99 % of the training pixels are background.
        neighbours: The three colours that the network sees of a volume of one channel are a slice with those before and
            behind it, rather than three times the slice.
        per_epoch: Training samples in an epoch; by default one per slice, or where 'auto' has chosen crops, as many as
            tile the training pictures, at most 2000. A list has a number for each epoch: what `time` writes down when
            the machine's speed has changed.
    """

    image_size: Side | None = None
    field: Annotated[int, Within(8, 1_000_000)] | Literal["auto"] | None = "auto"
    empty: Weight = 0.2
    rare: Fraction | Literal["auto"] = "auto"
    wide: Fraction | Literal["auto"] = "auto"
    neighbours: bool = False
    per_epoch: Samples | list[Samples] | None = None


@dataclass(frozen=True)
class LossConfig(Checked, group="loss"):
    """Weighted sum of cross entropy and Dice (Eq. 2 of the report).

    Attributes:
        ce: Weight of the cross entropy, lambda 1.
        dice: Weight of the Dice loss, lambda 2.
        class_weights: Weights of the classes in the cross entropy; 'auto' computes them from the training data
            (square root of the inverse frequency, at most 50), 'none' weighs pixels equally. By default 'none', but
            with `time` 'auto' for views from above with several classes.
        batch_dice: Dice over all pixels of the batch, rather than per image.
        coarse: Weight of the same loss of what the mask decoder gives without `fine_features`, so that it does not
            lean on these alone.
        resolution: 'low' takes the loss on the network's own logits, whose side is 4 cells for each of the image
            embedding; 'full' enlarges them to the network's input first, which takes more memory.
    """

    ce: Weight = 0.3
    dice: Weight = 0.7
    class_weights: list[Weight] | Literal["auto", "none"] | None = None
    batch_dice: bool = True
    coarse: Weight = 0.0
    resolution: Literal["low", "full"] = "low"


@dataclass(frozen=True)
class OptimConfig(Checked, group="optim"):
    """AdamW with linear warm-up and polynomial decay.

    Attributes:
        lr: Peak learning rate; by default 1e-3 for LoRA and adapters, 3e-4 for the head alone, 1e-4 for everything.
        weight_decay: Decoupled weight decay of the weights of layers; biases, norms, tokens and embeddings have none.
        warmup: Fraction of all steps during which the rate rises linearly.
        power: Exponent of the polynomial decay to zero.
        clip: Largest gradient norm.
        accumulate: Batches per optimiser step, whose gradients are averaged. Each batch has a loss of its own, and so
            a Dice of its own: steps resemble those of one larger batch, but are not the same. Where an epoch's last
            step has fewer batches, it is as much smaller.
        ema: Decay, per step, of the exponential moving average of the weights, which is what is validated and kept:
            0.99 averages over the last hundred steps. 0 keeps the weights of the last step.
    """

    lr: Annotated[float, Within(0, above=True)] | None = None  # one that is too large is named where it diverges
    weight_decay: Annotated[float, Within(0, 100)] = 0.01
    warmup: Fraction = 0.05
    power: Annotated[float, Within(0, 100)] = 0.9
    clip: Annotated[float, Within(0, above=True)] = 1.0
    accumulate: Count = 1
    ema: Fraction = 0.0


_DURATION = re.compile(r"(?:(\d{1,4}(?:\.\d+)?)h)?(?:(\d{1,6}(?:\.\d+)?)m)?(?:(\d{1,8}(?:\.\d+)?)s)?")


def seconds_in(time: str) -> float:
    """Seconds in '45m', '1h30m' or '90s'."""
    match = _DURATION.fullmatch(time.strip().lower())
    seconds = (
        sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if seconds <= 0:
        raise ConfigError(f"time: expected hours, minutes or seconds such as 2h, 45m, 1h30m or 90s; found '{time}'")
    return seconds


@dataclass(frozen=True)
class TrainConfig(Checked):
    """Everything that determines a training run.

    Attributes:
        data: Labelled folder, with a dataset.json or without (docs/guide/data.md lists what is recognised).
        out: Directory of the run; must not hold another run.
        base: Base model, a name of the zoo.
        weights: The base's weights: a file, a folder in transformers' format, or a hub name; by default the published
            ones, fetched into the cache.
        recipe: Which parameters are adapted, and how.
        fine_features: Let the mask decoder see the image itself too, by convolutions that are trained from the start,
            and the image encoder's first stage: for edges, and for objects smaller than a cell of the embedding.
        time: When the training is to end: '45m', '2h', '90s'. Some steps are measured on this machine, and the size of
            the network's input, the epochs, how many of them train the head alone, their length and the validations
            are chosen so that it ends then; epochs become longer or shorter where the machine's speed changes. What was
            chosen stands in config.yaml, and repeats without measuring.
        epochs: Passes over the training samples; 20 by default. Where there is no GPU, and neither this nor `time`,
            `head_epochs`, `validate_every` or `sampling.per_epoch` is set, the training is laid out as with `time` 30m.
        head_epochs: The first of the epochs, in which the image encoder rests and only the head is trained, on
            embeddings that are computed once (windows of slices without augmentation): such an epoch takes seconds.
        batch_size: Images per step.
        seed: Seed of the initial weights, the order of samples and the augmentation.
        device: 'auto' takes a GPU if there is one.
        patience: Epochs without a better validation DSC after which training stops, at a validation; by default it
            does not.
        validate_every: Epochs between two validations on whole cases.
        fold: Entry of splits_final.json, or one of five folds where the folder has no such file; by default its own
            splits.
        folds: Cross-validation: train so many folds one after the other, each into a run of its own (OUT/fold-0, ...);
            `time` is that of all of them together. The same command again, or --resume OUT, goes on where it stopped.
            With `fold`, that one of so many is trained alone.
        dataset: 'none' takes the folder for no data set that is known by name, whatever its files are called.
        bands: Which bands are used of pictures with more than three, by number from 1 such as 4,3,2 (or by the names
            that dataset.json gives them); or 'all', which a learned projection brings to three.
        cache_frozen: Compute what the blocks before the first adapted one give once, and keep it on disk (LoRA or
            adapters, with `last_blocks`). Training samples are then windows of slices without augmentation.
        prompts: 'drawn' prompts some images for one class, with a box or points, rather than segmenting them without a
            prompt, so that the fitted segmenter still takes prompts. 'outline' segments some images twice, the second
            time from prompts along the outlines of the first, for `refine outline`.
        prompt_fraction: Fraction of the training images that this is done with; by default none, with 'outline' a
            quarter.
        workers: Processes that prepare samples; 0 prepares them in the training process.
        precision: 'auto' is bfloat16 where the device computes in it, float32 elsewhere.
        checkpointing: Recompute the encoder's activations in the backward pass to save memory.
        denoise: What is done to each slice before everything else: 'gaussian' smooths it, 'median', 'bilateral', 'nlm'
            (non-local means) and 'dncnn' (a network) keep edges; 'none' does nothing; several joined by commas. Saved
            with the segmenter, like `refine`.
        refine: What is done to labels at the end, in validation and by default in prediction (see
            `samtailor.predict`).
        tta: Flips that predictions are averaged over by default (see `samtailor.predict`), not those of validations
            in training; none by default, but with `time` those of the training.
        tune_bias: Search offsets of the class logits that gain on the validation split when the training has ended, as
            `samtailor tune-bias` does; that takes one more validation for each flip of `tta`, and for wide crops, which
            `time` allows for, and the search itself. With `time` a single class always has it.
        tune_refinement: Search in the end whether each class gains on the validation split by its largest component
            alone, as `samtailor tune-refinement --candidates largest-component` does, after `tune_bias`, and for as
            many validations. With `time` volumes always have it, unless `refine` is set.
        sampling: Which slices and crops are trained on.
        intensity: How file intensities become [0, 1].
        augment: Random changes of training images.
        loss: Weights of the loss.
        optim: Optimiser and schedule.
    """

    data: AnyPath
    out: AnyPath
    base: str = "lite-medsam"
    weights: AnyPath | None = None
    recipe: Recipe = USUAL
    fine_features: bool = False
    time: str | None = None
    epochs: Count | None = None
    head_epochs: Rare[Index] = 0
    batch_size: Count = 4
    seed: Seed = 0
    device: Device = "auto"
    patience: Count | None = None
    validate_every: Count = 1
    fold: Rare[Index | None] = None
    folds: Folds | None = None
    dataset: Rare[Recognition] = "auto"
    bands: str | None = None
    cache_frozen: Rare[bool] = False
    prompts: Rare[Literal["drawn", "outline"]] = "drawn"
    prompt_fraction: Rare[Fraction | None] = None
    workers: Rare[Workers] = 0
    precision: Rare[Precision] = "auto"
    checkpointing: Rare[bool] = False
    denoise: Rare[Denoise] = "none"
    refine: Rare[Refine] = "none"
    tta: Rare[TestTimeFlip | None] = None
    tune_bias: Rare[bool] = False
    tune_refinement: Rare[bool] = False
    sampling: SamplingConfig = SamplingConfig()
    intensity: IntensityConfig = IntensityConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        as_text(self, "data", "out", "weights")
        if self.time is not None:
            seconds_in(self.time)
            if self.schedule:
                raise ConfigError(
                    f"time: expected without {' and '.join(self.schedule)}, which it chooses; found both; leave one out"
                )
        for name, steps in _STEPS.items():
            object.__setattr__(self, name, steps.chosen(getattr(self, name)))

    @property
    def schedule(self) -> list[str]:
        """Names of the settings of how long a training is that were made, instead of `time`."""
        made = {
            "epochs": self.epochs is not None,
            "head_epochs": self.head_epochs > 0,
            "validate_every": self.validate_every > 1,
            "sampling.per_epoch": self.sampling.per_epoch is not None,
        }
        return [name for name, is_made in made.items() if is_made]

    @property
    def selection(self) -> Selection:
        """What is taken of the labelled folder; of a cross-validation its first fold."""
        return Selection(0 if self.crosses else self.fold, self.dataset, self.bands, self.folds)

    @property
    def crosses(self) -> bool:
        """Whether all folds are trained rather than one."""
        return self.folds is not None and self.fold is None

    def is_cached(self, channels: int) -> bool:
        """Whether what the frozen part of the image encoder gives is computed once, and trained on.

        Behind a projection of the channels, which is trained, nothing is the same in every epoch.
        """
        return self._rests_on_embeddings and not needs_projection(channels)

    @property
    def _rests_on_embeddings(self) -> bool:
        """Whether what is trained sees what the frozen part of the image encoder gives, wherever that can be kept."""
        return self.cache_frozen or self.recipe.freezes_encoder

    @property
    def epoch_count(self) -> int:
        """Passes over the training samples, of a config that is resolved."""
        assert self.epochs is not None, "the epochs must be resolved before training"
        return self.epochs

    @property
    def tuning_predictions(self) -> int:
        """How often the validation cases are predicted after the training, to tune, of a resolved config."""
        from samtailor.inference.views import FLIPS, views_of  # with torch, which reading settings does without

        assert self.tta != "auto", "the flips must be resolved before they are counted"
        return len(views_of(FLIPS[self.tta or "none"], self.wide)) * (self.tune_bias + self.tune_refinement)

    @property
    def wide(self) -> float:
        """Share of wide crops from the second epoch on, and their weight in predictions, of a resolved config.

        There are none of slices that are shown whole, nor where the encoder is frozen, whose embeddings are kept.
        """
        is_cropped = self.sampling.field is not None and not self._rests_on_embeddings
        if self.sampling.wide == "auto" or not is_cropped:
            return 0.0
        return self.sampling.wide if self.epoch_count > 1 else 0.0

    def phases(self) -> list[tuple[TrainConfig, range]]:
        """A training of each kind of its epochs alone, and which these are, counted from 1: the head, then all."""
        rest = (replace(self, head_epochs=0), range(self.head_epochs + 1, self.epoch_count + 1))
        return [(replace(self, head_epochs=1), range(1, self.head_epochs + 1)), rest] if self.head_epochs else [rest]

    def to_plain(self) -> dict[str, Any]:
        """Plain values by name, as `config.yaml` holds them."""
        plain: dict[str, Any] = {}
        for name, value in asdict(self).items():
            plain |= flatten(self.recipe) if name == "recipe" else {name: value}
        return plain | {name: steps.to_plain(getattr(self, name)) for name, steps in _STEPS.items()}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any], where: str) -> TrainConfig:
        """Inverse of `to_plain`.

        Args:
            content: Plain values by name; absent settings have their defaults.
            where: Where they come from, for the message.

        Raises:
            ConfigError: If a setting is unknown or of another type.
        """
        others = dict(content)
        try:
            recipe = take_recipe(others)
            chosen = {name: others.pop(name) for name in _STEPS if name in others}
            require(chosen, hints_of(cls))
            chosen = {name: _STEPS[name].chosen(value) for name, value in chosen.items()}
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        return replace(from_plain(cls, others, where, skip=("recipe", *_STEPS)), recipe=recipe, **chosen)


@dataclass(frozen=True)
class EstimateConfig(TrainConfig):
    """A training of which memory and time are estimated; nothing is written to `out`.

    Attributes:
        out: Ignored; accepted so that the flags of train or a run's config.yaml can be given unchanged.
    """

    out: AnyPath = ""
