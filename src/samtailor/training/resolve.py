"""From what the user set to what is done: 'auto' settings decided by the data and the base."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from samtailor.data.channels import ChannelChoice, count_of, needs_projection
from samtailor.data.corruptions import SEVERITIES, Degradation, corruption_names, degradation
from samtailor.data.dataset import Dataset
from samtailor.data.intensity import intensity_of, resolve_intensity
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps import DENOISE
from samtailor.errors import ConfigError
from samtailor.inference.predictor import choose_device
from samtailor.models.zoo import Base, find_base
from samtailor.refinement import chosen_refinement, require_no_label_steps
from samtailor.training.settings import SamplingConfig, TrainConfig

_FAR_LARGER = 4  # shown whole, such pictures lose everything smaller than four pixels
_EPOCHS = 20
_ROTATE = 15.0  # degrees
_RARE = 0.7  # of the crops are centred on a foreground class
_TIME = "30m"  # for a training without a schedule, where there is no GPU
_MOST_PER_EPOCH = 2000  # a validation after each 500 steps of 4, even if there are 100 scenes of 1000 tiles


def scheduled(config: TrainConfig) -> TrainConfig:
    """The config with a time to end in, if nobody set a schedule and there is no GPU: 20 epochs would take a day."""
    is_set = config.time is not None or config.schedule
    return config if is_set or choose_device(config.device).type != "cpu" else replace(config, time=_TIME)


def resolve(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The same config with every 'auto' and None that the data decides filled in.

    Raises:
        ConfigError: If a setting does not fit the base or the data.
    """
    base = find_base(config.base)
    image_size = config.sampling.image_size or base.image_size
    least = least_side(base)
    if image_size < least or image_size % base.stride:
        raise ConfigError(
            f"sampling.image_size: expected a multiple of {base.stride}, at least {least}, for {base.name}; "
            f"found {image_size}"
        )
    for denoising in DENOISE.chosen(config.denoise):
        denoising.require_ready()
    refinement = chosen_refinement(config.refine) or ()
    if config.tune_bias:
        require_no_label_steps(refinement)
    if config.recipe.group > 1 and dataset.pictures:
        raise ConfigError("depth: expected volumes, whose slices have neighbours; found pictures")
    if config.sampling.neighbours and (dataset.pictures or len(dataset.channels) != 1):
        found = "pictures" if dataset.pictures else f"{len(dataset.channels)} channels"
        raise ConfigError(f"sampling.neighbours: expected volumes of one channel; found {found}")
    fraction = (
        {"drawn": 0.0, "outline": 0.25}[config.prompts] if config.prompt_fraction is None else config.prompt_fraction
    )
    lr = config.recipe.learning_rate if config.optim.lr is None else config.optim.lr
    weights = config.loss.class_weights
    if isinstance(weights, list) and len(weights) != len(dataset.labels):
        raise ConfigError(
            f"loss.class_weights: expected one weight for each of the {len(dataset.labels)} classes "
            f"({', '.join(dataset.labels.names)}), found {len(weights)}"
        )
    flip, is_cached = config.augment.flip, config.is_cached(len(dataset.channels))
    if flip == "auto" and is_cached and not config.cache_frozen:
        flip = "none"
    elif flip == "auto":
        flip = "both" if dataset.seen_from_above else "columns" if dataset.pictures else "none"
    rotate = _ROTATE if config.augment.rotate == "auto" else config.augment.rotate
    corrupt = ",".join(corruption_names(config.augment.corrupt, "augment.corrupt", dataset.channels, dataset.name))
    if config.loss.coarse:
        _check_coarse(config, fraction)
    if config.cache_frozen:
        _check_cached(config, flip, dataset.channels)
    epochs = _EPOCHS if config.epochs is None else config.epochs
    config = replace(config, epochs=epochs)
    if isinstance(per_epoch := config.sampling.per_epoch, list) and len(per_epoch) != epochs:
        raise ConfigError(
            f"sampling.per_epoch: expected a number, or one for each of the {epochs} epochs; found {len(per_epoch)}"
        )
    if config.head_epochs:
        _check_head_first(config, dataset.channels)
    return replace(
        config,
        data=str(Path(config.data).resolve()),
        weights=None if config.weights is None else _wherever_we_are(str(config.weights)),
        prompt_fraction=fraction,
        validate_every=min(config.validate_every, epochs),
        sampling=_resolve_sampling(replace(config.sampling, image_size=image_size), dataset),
        intensity=resolve_intensity(config.intensity, dataset.bits, dataset.channels),
        augment=replace(config.augment, flip=flip, rotate=rotate, corrupt=corrupt or "none"),
        tta=("none" if is_cached else flip) if config.tta == "auto" else config.tta or "none",
        optim=replace(config.optim, lr=lr),
    )


def _wherever_we_are(weights: str) -> str:
    """The absolute path of weights that lie here, so that a run goes on from any folder; or their name on the hub."""
    path = Path(weights).expanduser()
    return str(path.resolve()) if path.exists() else weights


def least_side(base: Base) -> int:
    """Smallest size of the network's input, in pixels, that a base takes here."""
    return max(32, 2 * base.stride)


def _check_coarse(config: TrainConfig, prompt_fraction: float) -> None:
    """Refuse a loss without fine features where there are none, or where some images have prompts."""
    if not config.fine_features:
        raise ConfigError(f"loss.coarse: expected --fine_features, found {config.loss.coarse:g} without; add them")
    if prompt_fraction:
        raise ConfigError(
            f"loss.coarse: expected a training without prompts, found {prompt_fraction:g} of the images prompted; "
            "leave one of them out"
        )


def _check_cached(config: TrainConfig, flip: str, channels: Sequence[str]) -> None:
    """Refuse to cache what is not the same in every epoch: nothing is frozen, or images are changed at random."""
    if needs_projection(len(channels)):
        raise ConfigError(
            f"cache_frozen: expected images of one or three channels, found {len(channels)} ({', '.join(channels)}), "
            "whose projection in front of the image encoder is trained; leave it out"
        )
    if not config.recipe.starts_frozen:
        raise ConfigError(
            "cache_frozen: expected the recipe lora, or adapter without depth, with some --last_blocks adapted; "
            f"found {config.recipe}"
        )
    changes = {"flip": flip, "affine": config.augment.affine, "intensity": config.augment.intensity}
    if on := [f"{name} {value}" for name, value in changes.items() if value not in ("none", 0)]:
        raise ConfigError(
            "cache_frozen: expected images that are the same in every epoch, found random changes "
            f"({', '.join(on)}); turn them off with --augment.flip none --augment.affine 0 --augment.intensity 0"
        )


def _check_head_first(config: TrainConfig, channels: Sequence[str]) -> None:
    """Refuse to begin with the head where no encoder follows, or where its embeddings cannot be kept."""
    if config.recipe.freezes_encoder:
        raise ConfigError(f"head_epochs: expected a recipe that adapts the encoder, found {config.recipe.name}")
    if config.head_epochs >= config.epoch_count:
        raise ConfigError(
            f"head_epochs: expected fewer than the {config.epochs} epochs, found {config.head_epochs}; to train the "
            "head alone take --recipe head-only"
        )
    if needs_projection(len(channels)):
        raise ConfigError(
            f"head_epochs: expected images of one or three channels, found {len(channels)} ({', '.join(channels)}), "
            "whose projection in front of the image encoder is trained from the start; leave it out"
        )


def _resolve_sampling(config: SamplingConfig, dataset: Dataset) -> SamplingConfig:
    """Crops of pictures that are far larger than the network's input, where they lie, and how many make an epoch."""
    rare = _RARE if config.rare == "auto" else config.rare
    config = replace(config, rare=rare, wide=0.0 if config.wide == "auto" else config.wide)
    assert config.image_size is not None
    if config.field != "auto":
        return config
    if dataset.largest is None or max(dataset.largest) <= _FAR_LARGER * config.image_size:
        return replace(config, field=None)
    side = (dataset.named.field if dataset.named else None) or config.image_size
    if config.per_epoch is not None:
        return replace(config, field=side)
    tiles = math.prod(math.ceil(length / side) for length in dataset.largest)
    pictures = len(dataset.splits.get("train", dataset.cases))
    return replace(config, field=side, per_epoch=min(tiles * pictures, _MOST_PER_EPOCH))


def preprocessing_of(config: TrainConfig, channels: ChannelChoice) -> Preprocessing:
    """Preprocessing of a resolved config."""
    assert config.sampling.image_size is not None
    field = config.sampling.field
    assert not isinstance(field, str)
    steps = DENOISE.chosen(config.denoise)
    size, intensity = config.sampling.image_size, intensity_of(config.intensity)
    bands = None if isinstance(channels, int) else channels
    neighbours = config.sampling.neighbours
    return Preprocessing(intensity, size, field, count_of(channels), steps, bands, neighbours=neighbours)


def copies_of(config: TrainConfig) -> list[Degradation]:
    """What makes each corrupted copy of the training cases of a resolved config; none if there are no copies."""
    augment = config.augment
    names = [] if augment.corrupt == "none" else augment.corrupt.split(",")
    return [degradation(names, SEVERITIES, config.seed, copy) for copy in range(augment.copies if names else 0)]
