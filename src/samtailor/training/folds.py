"""What each fold of a cross-validation is trained with: the same, decided once, by the first."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Self

from samtailor.errors import ConfigError, listed
from samtailor.runs import CrossValidation
from samtailor.settings import by_dotted_name
from samtailor.training.clock import Deadline, Pace
from samtailor.training.planning import USED
from samtailor.training.resolve import scheduled
from samtailor.training.settings import TrainConfig, seconds_in

LOG = logging.getLogger("samtailor")


@dataclass
class SharedTime:
    """A time that several trainings share: the first is laid out, the others have its length as long as that fits.

    Attributes:
        runs: How many they are.
        end: When the last is to have ended, by `time.monotonic`.
        share: Seconds that each has at most.
        paces: What the first was laid out by, once it is.
    """

    runs: int
    end: float
    share: float
    paces: Sequence[Pace] = ()

    @classmethod
    def of(cls, given: str | None, runs: int) -> Self | None:
        """The time of so many trainings, from now on; None if they have a length instead."""
        if given is None:
            return None
        seconds = USED * seconds_in(given)
        return cls(runs, time.monotonic() + seconds, seconds / runs)

    def deadline(self, left: int) -> Deadline:
        """What the next training is kept to, when so many are left: an equal part of the time that is left."""
        now = time.monotonic()
        return Deadline(now + min(self.share, (self.end - now) / left), self.paces)


def going_on(folds: CrossValidation) -> TrainConfig:
    """The settings that a cross-validation goes on with: those of its first fold."""
    first = folds.run(0)
    return TrainConfig.from_plain(first.read_config(), str(first.config_file))


def settings_of(folds: CrossValidation, config: TrainConfig, fold: int) -> TrainConfig:
    """The settings that a fold is trained with.

    Args:
        folds: The folder of all of them.
        config: What the user has set: the first fold is laid out for its share of the time, and the others are trained
            with what was written down of it.
        fold: Which one.
    """
    if folds.is_there:
        config = going_on(folds)
    elif (timed := scheduled(config)) != config:
        assert timed.time is not None
        assert config.folds is not None
        LOG.info("No schedule is given, and there is no GPU: each fold as with --time %s by itself", timed.time)
        config = replace(timed, time=f"{config.folds * seconds_in(timed.time):.0f}s")
    return replace(config, fold=fold, out=str(folds.run(fold).directory))


def require_begun_alike(folds: CrossValidation, config: TrainConfig) -> None:
    """Refuse to go on with other settings than a cross-validation was begun with.

    Raises:
        ConfigError: Naming them.
    """
    if (given := folds.read_settings()) is None:  # each fold was begun by itself
        return
    before = _comparable(TrainConfig.from_plain(given, str(folds.settings_file)))
    now = _comparable(config)
    if changed := [
        f"{name} {now.get(name)} (it was {value})" for name, value in before.items() if now.get(name) != value
    ]:
        fix = f"name another one, or go on as it was begun with samtailor resume {quote(str(folds.directory))}"
        raise ConfigError(
            f"out: expected the settings that {folds.directory} was begun with, found {listed(changed)}; {fix}"
        )


def write_settings(folds: CrossValidation, config: TrainConfig) -> None:
    """Keep what the user has set, for who gives the same command again."""
    folds.write_settings(replace(config, data=_absolute(config.data)).to_plain())


def _comparable(config: TrainConfig) -> dict[str, str]:
    """All that makes two trainings the same, wherever they are written."""
    plain = replace(config, data=_absolute(config.data), out="").to_plain()
    return dict(by_dotted_name(plain))


def _absolute(path: str | Path) -> str:
    return str(Path(path).resolve())
