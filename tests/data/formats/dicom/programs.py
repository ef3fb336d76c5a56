"""Programs of others that read what is written; tests that need one that is not installed are skipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """Path of a program."""
    if not (path := shutil.which(name)):
        pytest.skip(f"{name} is not installed ({package})")
    return path


def require_valid(path: Path) -> None:
    """Whether dciodvfy finds an object to be what it says it is: no error, whatever it warns of."""
    said = subprocess.run(
        [program("dciodvfy", "Debian's dicom3tools"), path], capture_output=True, text=True, check=False
    )
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith(("Error", "Abort"))]
    assert not errors, "\n".join(errors)
