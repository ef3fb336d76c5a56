"""Directories that a process keeps for itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samtailor.errors import ConfigError

_held: set[int] = set()  # descriptors of directories that this process keeps for itself


def _release() -> None:
    """A process that prepares samples does not keep the directory when the training is killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_release)


@contextmanager
def alone(directory: Path, refusal: str) -> Iterator[None]:
    """Keep a directory for this process while the block runs, at the longest until the process ends.

    Nothing is written, and nothing is left behind: the directory itself is locked.

    Args:
        directory: An existing directory.
        refusal: What whoever comes second is told.

    Raises:
        ConfigError: If another block, of any process, keeps it.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(refusal) from error
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)
