"""Errors whose text is meant for the user."""

from __future__ import annotations

from pathlib import Path


class SamTailorError(Exception):
    """Something the user can fix: bad data, a bad setting, a missing file.

    The text names what is wrong, what was expected, what was found and how to fix it. The command line
    prints it without a traceback and ends with exit code 2.
    """


class DataError(SamTailorError):
    """A data file or folder is not as expected."""


class FileError(DataError):
    """A file or folder is not as expected.

    Attributes:
        file: The file or folder.
        expected: What was expected there.
        found: What was found.
        fix: What the user can do about it.
    """

    def __init__(self, file: Path | str, expected: str, found: str, fix: str) -> None:
        self.file, self.expected, self.found, self.fix = str(file), expected, found, fix
        super().__init__(f"{file}: expected {expected}, found {found}; {fix}")


class ConfigError(SamTailorError):
    """A setting is not as expected."""


class WeightsError(SamTailorError):
    """Weights are missing, damaged, or belong to another network."""


class SharedError(SamTailorError):
    """An error that every process of a job raises; only one of them need report it."""


class ProcessLostError(SamTailorError):
    """Another process of the job ended before its time."""
