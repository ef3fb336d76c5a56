"""How nested plain settings differ."""

from __future__ import annotations

from typing import Any

from samtailor.reproduction.definition import Settings


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
