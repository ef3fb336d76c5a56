"""Packages that a step needs and that are installed with an extra only."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from samtailor.errors import ConfigError


def require_extra(module: str, extra: str, step: str) -> ModuleType:
    """A module of an optional package.

    Args:
        module: Its name.
        extra: Extra of samtailor that it is installed with.
        step: What needs it.

    Raises:
        ConfigError: If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"refine: expected the package that {step} needs, found none ({error}); pip install 'samtailor[{extra}]'"
        ) from error
