"""Series for the tests of what is written for them and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.formats.dicom.series import WRITERS


@pytest.fixture(params=WRITERS)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A series of each kind in turn."""
    return WRITERS[request.param](tmp_path)


@pytest.fixture
def axial(tmp_path: Path) -> Path:
    return WRITERS["axial"](tmp_path)
