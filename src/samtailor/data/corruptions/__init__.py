"""Corruptions of images in five severities, by modality: one small class each, listed here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from samtailor.data.corruptions.corruption import SEVERITIES as SEVERITIES
from samtailor.data.corruptions.corruption import Corruption
from samtailor.data.corruptions.ct import LowDose, Rings, Streaks
from samtailor.data.corruptions.degradation import Degradation as Degradation
from samtailor.data.corruptions.general import (
    Blur,
    Contrast,
    GaussianNoise,
    Jpeg,
    PoissonNoise,
    SaltAndPepper,
    Speckle,
)
from samtailor.data.corruptions.infrared import DeadPixels, Gain, NonUniformity, Stripes
from samtailor.data.corruptions.mr import BiasField, Ghosting, RicianNoise
from samtailor.errors import ConfigError, not_one_of

Modality = Literal["general", "CT", "MR", "infrared"]

BY_MODALITY: Mapping[Modality, Mapping[str, Corruption]] = {
    "general": {
        "gaussian": GaussianNoise(),
        "poisson": PoissonNoise(),
        "speckle": Speckle(),
        "salt-and-pepper": SaltAndPepper(),
        "blur": Blur(),
        "contrast": Contrast(),
        "jpeg": Jpeg(),
    },
    "CT": {"low-dose": LowDose(), "streaks": Streaks(), "ring": Rings()},
    "MR": {"rician": RicianNoise(), "bias-field": BiasField(), "ghosting": Ghosting()},
    "infrared": {"stripes": Stripes(), "gain": Gain(), "dead-pixels": DeadPixels(), "nonuniformity": NonUniformity()},
}
"""The corruptions by their names, for all images and for those of one modality."""

CORRUPTIONS: Mapping[str, Corruption] = {name: c for group in BY_MODALITY.values() for name, c in group.items()}
"""All corruptions by their names."""

_SIGNS: Mapping[Modality, str] = {
    "CT": r"ct",
    "MR": r"mri?|t1\w*|t2\w*|pd|flair|dwi|adc",
    "infrared": r"ir|infrared|thermal|[lms]wir",
}
"""What channels of a modality are called: the first word of the name, in any case."""


def modality_of(channels: Sequence[str], dataset: str | None = None) -> Modality:
    """The modality of a data set by the names of its channels, or by its own; 'general' if they do not tell."""
    if dataset == "sirst":
        return "infrared"
    words = [re.split(r"[\W_]+", channel.strip().lower())[0] for channel in channels]
    for modality, sign in _SIGNS.items():
        if words and all(re.fullmatch(sign, word) for word in words):
            return modality
    return "general"


def corruption_names(setting: str, name: str, channels: Sequence[str], dataset: str | None = None) -> tuple[str, ...]:
    """The corruptions that a setting names.

    Args:
        setting: Names joined by commas; 'none'; or 'auto': the general ones and those of the data's modality.
        name: What the setting is called, for the message.
        channels: Names of the data's channels.
        dataset: Name of the data set, if it is one of those known by name.

    Raises:
        ConfigError: If there is no such corruption, or one is named twice.
    """
    if setting == "none":
        return ()
    if setting == "auto":
        modality = modality_of(channels, dataset)
        return tuple(dict.fromkeys([*BY_MODALITY["general"], *BY_MODALITY[modality]]))
    names = tuple(part.strip() for part in setting.split(","))
    for one in names:
        if one not in CORRUPTIONS:
            raise ConfigError(f"{name}: expected 'auto', 'none' or some of {', '.join(CORRUPTIONS)}; found '{one}'")
        if names.count(one) > 1:
            raise ConfigError(f"{name}: expected each corruption once; found '{one}' twice")
    return names


def corruption_of(corrupt: str | None, severity: int | None, seed: int) -> Degradation | None:
    """What corrupts the cases of an evaluation; None if nothing does.

    Args:
        corrupt: Name of a corruption.
        severity: How severe it is, 1 to 5.
        seed: Decides all that is random.

    Raises:
        ConfigError: If there is no such corruption, or the one is given without the other.
    """
    if corrupt is None and severity is None:
        return None
    if corrupt is None or severity is None:
        lacking = "corrupt" if corrupt is None else "severity"
        raise ConfigError(
            f"{lacking}: expected both a corruption and its severity, found the "
            f"{'severity' if corrupt is None else 'corruption'} alone; take --corrupt NAME --severity 1 (to 5)"
        )
    if corrupt not in CORRUPTIONS:
        raise ConfigError(f"corrupt: {not_one_of(CORRUPTIONS, corrupt)}")
    return degradation((corrupt,), (severity,), seed)


def degradation(names: Sequence[str], severities: Sequence[int], *seed: int) -> Degradation:
    """What corrupts cases, of corruptions by their names."""
    return Degradation({name: CORRUPTIONS[name] for name in names}, tuple(severities), seed)
