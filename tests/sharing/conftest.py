"""A fitted and evaluated run, and a hub, for the tests of sharing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samtailor.evaluation.evaluate import evaluate
from samtailor.models.zoo import Base
from samtailor.training.settings import OptimConfig
from tests import generate
from tests.hub_server import HubServer
from tests.small_run import small_run


@pytest.fixture(scope="session")
def evaluated_run(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run on pictures, evaluated on its test split; not to be changed."""
    root = tmp_path_factory.mktemp("private_home_of_the_user")
    data = generate.image_folder(root / "fields")
    run = small_run(data, root / "run", tiny_base, optim=OptimConfig(lr=1e-3)).directory
    evaluate(run, data, "test", device="cpu")
    return run


@pytest.fixture
def run(evaluated_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(evaluated_run, tmp_path / "private_home_of_the_user" / "run"))


@pytest.fixture
def hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """An empty hub, logged in."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub
