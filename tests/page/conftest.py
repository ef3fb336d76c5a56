"""Runs on small data sets, and pages that serve them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samtailor.models.zoo import Base
from tests import generate
from tests.page.pages import Page, opened
from tests.small_run import small_run


@pytest.fixture(scope="session")
def made_pictures(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `data`, pictures with labels, and `run`, fitted to them; not to be changed."""
    root = tmp_path_factory.mktemp("pictures")
    small_run(generate.image_folder(root / "data", cases=6), root / "run", tiny_base, prompt_fraction=0.5)
    return root


@pytest.fixture(scope="session")
def made_volumes(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `data`, CT with labels, and `run`, fitted to them; not to be changed."""
    root = tmp_path_factory.mktemp("volumes")
    small_run(generate.nnunet_folder(root / "data"), root / "run", tiny_base, prompt_fraction=0.5)
    return root


@pytest.fixture
def pictures(made_pictures: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that a test may change, with their run."""
    return Path(shutil.copytree(made_pictures, tmp_path / "pictures"))


@pytest.fixture
def volumes(made_volumes: Path, tmp_path: Path) -> Path:
    """A copy of the volumes that a test may change, with their run."""
    return Path(shutil.copytree(made_volumes, tmp_path / "volumes"))


Opening = Callable[..., Page]


@pytest.fixture
def open_page(tiny_base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Opening]:
    """Opens pages with the words of `samtailor app`; they are closed with the test."""
    monkeypatch.chdir(tmp_path)  # where runs go by default
    with ExitStack() as stack:
        yield lambda *words, **settings: stack.enter_context(opened(*words, **settings))
