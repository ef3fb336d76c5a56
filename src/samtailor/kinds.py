"""Choices that are dataclasses: in settings and files a name stands for the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from samtailor.errors import ConfigError

T = TypeVar("T")


def to_json(value: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Plain dictionary, the inverse of `from_json`."""
    name = next(name for name, kind in kinds.items() if type(value) is kind)
    return {"kind": name, **asdict(value)}


def from_json(content: Mapping[str, Any], kinds: Mapping[str, Callable[..., T]], what: str) -> T:
    """What `to_json` made a dictionary of; `what` names the choice in the error if there is no such one here."""
    try:
        values = dict(content)
        return _find(values.pop("kind"), kinds, what)(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{what}: expected one of {', '.join(kinds)} with its settings; found {error}") from error


def from_names(names: str, kinds: Mapping[str, Callable[[], T]], setting: str) -> tuple[T, ...]:
    """Choices with their default values, by names joined by commas, or 'none'."""
    return () if names == "none" else tuple(_find(name.strip(), kinds, setting)() for name in names.split(","))


def _find(name: str, kinds: Mapping[str, T], what: str) -> T:
    if name not in kinds:
        raise ConfigError(f"{what}: expected one of {', '.join(kinds)}; found '{name}'")
    return kinds[name]
