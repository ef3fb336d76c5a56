"""Settings dataclasses from nested plain values, checked as the command line checks them."""

from __future__ import annotations

from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from samtailor.errors import ConfigError
from samtailor.reproduction.definition import Settings

Config = TypeVar("Config")


def from_plain(kind: type[Config], content: Settings, where: str) -> Config:
    """Settings of nested plain values.

    Args:
        kind: A settings dataclass.
        content: Its fields, nested; absent ones have their defaults.
        where: Where the values come from, for the message.

    Raises:
        ConfigError: If a key is unknown or a value of another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "content")
    try:
        config: Config = parser.instantiate(parser.parse_object({"content": dict(content)})).content
    except ArgumentError as error:
        raise ConfigError(f"{where}: {error}; fix the settings") from error
    return config


def differences(found: Settings, wanted: Settings, prefix: str = "") -> list[str]:
    """What differs in nested settings of the same dataclass: 'epochs: expected 14, found 6'."""
    result: list[str] = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result += differences(other, value, f"{prefix}{key}.")
        elif _plain(value) != _plain(other):
            result.append(f"{prefix}{key}: expected {value}, found {other}")
    return result


def _plain(value: Any) -> Any:
    """The value as YAML gives it back: tuples are lists."""
    return list(value) if isinstance(value, tuple) else value
