"""Errors whose text is meant for the user."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self


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


Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as expected, told with all else that is wrong rather than raised.

    Attributes:
        severity: Errors forbid training, warnings do not.
        file: File or folder, as a path.
        expected: What was expected there.
        found: What was found.
        fix: What the user can do about it.
    """

    severity: Severity
    file: str
    expected: str
    found: str
    fix: str

    @classmethod
    def from_error(cls, error: FileError) -> Self:
        """The finding that an error tells of."""
        return cls("error", error.file, error.expected, error.found, error.fix)

    def __str__(self) -> str:
        return f"{self.severity}: {self.file}: expected {self.expected}, found {self.found}; {self.fix}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """A number of things in words: '1 case', '3 cases', '2 classes'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def did_you_mean(word: str, known: Iterable[str], meaning: Mapping[str, str] | None = None) -> str:
    """A question in brackets for what was meant by a word that is not known; '' where nothing is like it.

    Args:
        word: What was written.
        known: What could have been written.
        meaning: What is asked for instead of what could have been written, where that is something else.
    """
    alike = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f" (did you mean {(meaning or {}).get(alike[0], alike[0])}?)" if alike else ""


def not_one_of(known: Collection[str], found: str) -> str:
    """What is told of a word that is none of those there are, with the one that was meant, if it is like one."""
    return f"expected one of {', '.join(known)}; found '{found}'{did_you_mean(found, known)}"


class DataWarning(UserWarning):
    """What is odd about a file or a folder, and what is done about it; a result is given nevertheless."""


class ConfigError(SamTailorError):
    """A setting is not as expected."""


class NotFiniteError(SamTailorError):
    """What a network computes is no number any more: its training diverged, or its precision is too low."""


class WeightsError(SamTailorError):
    """Weights are missing, damaged, or belong to another network."""


class SharedError(SamTailorError):
    """An error that every process of a job raises; only one of them need report it."""


class ProcessLostError(SamTailorError):
    """Another process of the job ended before its time."""
