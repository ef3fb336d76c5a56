"""The error of a file or folder that is not as expected, in four parts that `check` can tabulate."""

from __future__ import annotations

from pathlib import Path

from samtailor.errors import DataError


class FileError(DataError):
    """A file or folder is not as expected.

    Attributes:
        file: The file or folder.
        expected: What was expected there.
        found: What was found.
        mend: What the user can do about it.
    """

    def __init__(self, file: Path | str, expected: str, found: str, mend: str) -> None:
        self.file, self.expected, self.found, self.mend = str(file), expected, found, mend
        super().__init__(f"{file}: expected {expected}, found {found}; {mend}")
