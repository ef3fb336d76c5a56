"""A finding of the check: what is wrong with a data set, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from samtailor.errors import FileError


@dataclass(frozen=True)
class Finding:
    """Something that is not as expected.

    Attributes:
        severity: Errors forbid training, warnings do not.
        file: File or folder, as a path.
        expected: What was expected there.
        found: What was found.
        fix: What the user can do about it.
    """

    severity: Literal["error", "warning"]
    file: str
    expected: str
    found: str
    fix: str

    @classmethod
    def of(cls, error: FileError) -> Self:
        """The finding that an error tells of."""
        return cls("error", error.file, error.expected, error.found, error.fix)

    def __str__(self) -> str:
        return f"{self.severity}: {self.file}: expected {self.expected}, found {self.found}; {self.fix}"
