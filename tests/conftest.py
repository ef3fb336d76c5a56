"""Fixtures for all tests: small generated folders, and a cache that no other program sees."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from samtailor.files import cache_home
from samtailor.labels import LabelSpace
from samtailor.models.zoo import BASES, Base
from samtailor.progress import shown_by
from tests import generate
from tests.hub_server import HubServer
from tests.tiny_base import NAMES
from tests.tiny_base import tiny_base as make_tiny_base


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many files the fuzz test damages, and from which seed on."""
    parser.addoption("--trials", type=int, default=300, help="damaged files of the fuzz test")
    parser.addoption("--fuzz_seed", type=int, default=0, help="seed of its first trial")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slices are cached in a folder of the test session; the weights stay where they are, downloaded once."""
    weights = cache_home() / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    home = tmp_path_factory.mktemp("home")
    (home / "weights").symlink_to(weights.resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMTAILOR_HOME", str(home))
        yield


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty hub that huggingface_hub talks to; a cache that holds nothing of it."""
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    with HubServer() as hub:
        hub.install(monkeypatch)
        yield hub


Report = tuple[str, float, int]


@pytest.fixture
def reports() -> Iterator[list[Report]]:
    """What is reported in the test: what is done, how much of it, and of how much."""
    found: list[Report] = []
    with shown_by(lambda what, done, total, unit: found.append((what, done, total))):
        yield found


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background of a shell, which makes processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    """The base `tiny-sam`, in the zoo while it is used: a real network, small, with random weights."""
    base = make_tiny_base(tmp_path_factory.mktemp("weights") / "tiny_sam.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASES, base.name, base)
        yield base


@pytest.fixture(scope="session", params=list(NAMES), ids=list(NAMES.values()))
def any_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    """A base of each family in turn, in the zoo while it is used."""
    base = make_tiny_base(tmp_path_factory.mktemp("weights") / "tiny.pth", request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASES, base.name, base)
        yield base


@pytest.fixture
def label_space() -> LabelSpace:
    """Background, liver and spleen."""
    return generate.LABELS


@pytest.fixture
def nnunet_folder(tmp_path: Path) -> Path:
    """Four training cases, one for validation, one for testing; CT with two organs."""
    return generate.nnunet_folder(tmp_path / "nnunet")


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Ten RGB pictures with three classes, without a split."""
    return generate.image_folder(tmp_path / "images")


@pytest.fixture
def crf() -> None:
    """What the dense CRF needs."""
    pytest.importorskip("pydensecrf.densecrf", reason="needs the extra crf, and that a C++ compiler")


@pytest.fixture
def shared_data() -> Path:
    """Folder with the development data; tests that use it carry the mark `shared_data`."""
    root = os.environ.get("SAMTAILOR_SHARED_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("SAMTAILOR_SHARED_DATA names no folder with the development data")
    return Path(root)


@pytest.fixture
def abdominal_ct(shared_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A real CT as NIfTI, and TotalSegmentator's labels of it."""
    sitk = pytest.importorskip("SimpleITK")
    series = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(shared_data / "ct_dicom" / "series"))
    volume = tmp_path / "ct.nii.gz"
    sitk.WriteImage(sitk.ReadImage(series), str(volume))
    return volume, shared_data / "ct_dicom" / "totalsegmentator_labels.nii.gz"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Networks start at random: the same in every run, whatever tests ran before."""
    torch.manual_seed(0)
