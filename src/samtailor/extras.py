"""Packages that a part of SamTailor needs and that are installed with an extra only."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from samtailor.errors import ConfigError


def require_extra(module: str, extra: str, what: str, where: str | Path) -> ModuleType:
    """A module of an optional package.

    Args:
        module: Its name.
        extra: Extra of samtailor that it is installed with.
        what: What needs it.
        where: Setting that asks for that, or file.

    Raises:
        ConfigError: If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{where}: expected the package that {what} needs, found none ({error}); pip install 'samtailor[{extra}]'"
        ) from error
