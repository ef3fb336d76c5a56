"""The page in Chromium without a window, served with a small real segmenter."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samtailor.files import write_json
from samtailor.models.zoo import Base
from samtailor.training.settings import OptimConfig
from tests import generate
from tests.page.browser.screen import CLASSES, EVIL
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse
from tests.small_run import small_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def fitted(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, pictures whose names hold markup, and `run`, fitted to them; not to be changed."""
    root = tmp_path_factory.mktemp("page")
    data = generate.image_folder(root / "data", cases=6, size=(48, 64))
    write_json(data / "dataset.json", {"classes": CLASSES, "palette": generate.PICTURE_PALETTE})
    for folder in ("images", "masks"):
        (data / folder / "tile_5.png").rename(data / folder / f"tile_5 {EVIL}.png")
    small_run(data, root / "run", tiny_base, optim=OptimConfig(lr=1e-3))
    return root


@pytest.fixture
def data(fitted: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(fitted / "data", tmp_path / "data"))


@pytest.fixture
def server(fitted: Path, data: Path, tiny_base: Base) -> Iterator[PageServer]:
    """The page of the pictures and their run."""
    assert tiny_base.weights is not None
    with PageServer(fitted / "run", data, Path(str(tiny_base.weights))) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser of this machine, by playwright."""
    reason = "needs playwright, of the extra dev"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browse(browser: Any) -> Iterator[Browse]:
    """Opens the page of a server; in the end it has asked no other host, and neither failed nor complained."""
    browse = Browse(browser)
    yield browse
    browse.close()
    assert not browse.complaints


@pytest.fixture
def volume_server(tmp_path: Path, tiny_base: Base) -> Iterator[PageServer]:
    """The page of volumes that nobody has fitted anything to."""
    folder = generate.nnunet_folder(tmp_path / "volumes")
    with PageServer(None, folder, Path(str(tiny_base.weights))) as server:
        yield server
