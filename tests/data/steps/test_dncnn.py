"""Denoising by DnCNN: which network sees what, where its weights come from, and that the real ones do what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samtailor.data.steps import dncnn as module
from samtailor.data.steps import tiles as tiles_module
from samtailor.data.steps.dncnn import DnCNNDenoising
from samtailor.data.steps.dncnn_network import noise_of
from samtailor.data.steps.noise import estimate_noise
from samtailor.errors import ConfigError, WeightsError
from tests.data.steps.flax_file import dncnn_weights, literal_noise, write_flax
from tests.data.steps.scenes import noisy, psnr, scene

SHAPES = [(1, 1, 1, 1), (3, 1, 1, 30), (1, 2, 30, 1), (1, 1, 2, 2), (4, 2, 5, 7)]

SCICO = {
    "6L": 0.0594385,
    "6M": 0.0894114,
    "6H": 0.1082662,
    "6N": 0.0848373,
    "17L": 0.0527076,
    "17M": 0.0957187,
    "17H": 0.1036219,
    "17N": 0.0746385,
}
"""Standard deviation of what scico 0.0.7's own `DnCNNNet` finds in flax, where the image goes on periodically."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache with random weights of six layers; nobody may be contacted."""
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path))
    monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
    (tmp_path / "weights").mkdir()
    for name in ("6L", "6M", "6H", "6N"):
        weights = dncnn_weights(6, 2 if name == "6N" else 1, seed=ord(name[1]))
        path = write_flax(tmp_path / "weights" / f"dncnn{name}.mpk", weights)
        monkeypatch.setitem(module._CHECKSUMS, name, hashlib.sha256(path.read_bytes()).hexdigest())
    forget = module._network.cache_clear
    forget()
    yield tmp_path
    forget()


@pytest.fixture
def seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, np.ndarray, float | None]]:
    """File, image and level of what networks are shown; they find a tenth of the image's difference from 0.5."""
    shown: list[tuple[str, np.ndarray, float | None]] = []

    def tenth(network: str, image: np.ndarray, level: float | None) -> np.ndarray:
        shown.append((network, image, level))
        return (image[6:-6, 6:-6] - 0.5) / 10

    monkeypatch.setattr(module, "_network", lambda file, layers, channels: file.stem)
    monkeypatch.setattr("samtailor.data.steps.dncnn_network.noise_of", tenth)
    return shown


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (8.0, -1000.0), (1e-3, 5.0)])
def test_the_network_sees_the_channels_range_and_its_noise(seen: Any, factor: float, offset: float) -> None:
    image = (noisy(scene((1, 1, 64, 64)), 10) * factor + offset).astype(np.float32)
    low, high = np.percentile(image, (0.5, 99.5))
    clean = DnCNNDenoising(sigma=10 * factor)(image, None)
    ((network, shown, level),) = seen
    assert network == "dncnn6N"
    assert (shown.min(), shown.max()) == pytest.approx((0, 1), abs=1e-4)
    assert level == pytest.approx(10 * factor / (high - low), rel=1e-4)
    inside = (np.clip(image, low, high) - low) / (high - low)
    np.testing.assert_allclose(shown[6:-6, 6:-6], inside[0, 0], atol=1e-3)
    expected = image - (inside - inside.mean()) / 10 * (high - low)
    np.testing.assert_allclose(clean, expected, atol=1e-3 * (high - low))


@pytest.mark.parametrize(
    ("sigma", "name"), [(2.0, "L"), (10.0, "L"), (12.0, "M"), (19.0, "M"), (24.0, "H"), (60.0, "H")]
)
def test_a_network_for_one_level_sees_noise_of_that_level(seen: Any, sigma: float, name: str) -> None:
    image = np.linspace(0, 150, 64).repeat(64).reshape(1, 1, 64, 64).astype(np.float32)
    low, high = np.percentile(image, (0.5, 99.5))
    DnCNNDenoising(sigma=sigma, model="fixed")(image, None)
    ((network, shown, level),) = seen
    assert (network, level) == (f"dncnn6{name}", None)
    trained = {"L": 0.06, "M": 0.10, "H": 0.20}[name]
    assert np.ptp(shown) == pytest.approx((high - low) * trained / sigma, rel=1e-4)
    assert shown.mean() == pytest.approx(0.5, abs=0.01)


def test_more_noise_than_was_trained_is_shown_at_that_level(seen: Any) -> None:
    image = noisy(scene((1, 1, 64, 64)), 10)
    low, high = np.percentile(image, (0.5, 99.5))
    DnCNNDenoising(sigma=100.0)(image, None)
    ((_, shown, level),) = seen
    assert level == 0.2
    assert np.ptp(shown) == pytest.approx((high - low) * 0.2 / 100, rel=1e-3)


def test_channels_are_seen_alone_with_their_own_noise(seen: Any) -> None:
    image = np.concatenate([noisy(scene((1, 2, 64, 64)), 5), 10 * noisy(scene((1, 2, 64, 64)), 15)])
    DnCNNDenoising()(image, None)
    levels = [level for _, _, level in seen]
    assert len(levels) == 4
    assert levels[0] == levels[1] < levels[2] / 2
    assert levels[2] == levels[3]


def test_it_subtracts_what_the_network_finds(home: Path) -> None:
    image = noisy(scene((1, 1, 20, 24)), 10)
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = np.pad(np.clip((image[0, 0] - low) / (high - low), 0, 1), 6, mode="symmetric").astype(np.float32)
    level = 10 / (high - low)
    shown = torch.stack([torch.from_numpy(scaled), torch.full(scaled.shape, level)])[None]
    found = literal_noise(dncnn_weights(6, 2, seed=ord("N")), shown)[0, 0].numpy()
    clean = DnCNNDenoising(sigma=10.0)(image, None)
    np.testing.assert_allclose(clean[0, 0], image[0, 0] - (found - found.mean()) * (high - low), atol=0.05)
    assert abs(found.mean()) * (high - low) > 1  # what random weights find is no noise


@pytest.mark.parametrize("model", ["adjustable", "fixed"])
def test_large_slices_have_no_seams(home: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy(scene((1, 1, 70, 50)), 10)
    step = DnCNNDenoising(sigma=10.0, model=model)
    whole = step(image, None)
    monkeypatch.setattr(tiles_module, "_SIDE", 32)
    np.testing.assert_allclose(step(image, None), whole, atol=1e-3 * np.abs(whole).max())


@pytest.mark.parametrize("model", ["adjustable", "fixed"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", ["auto", 10.0])
def test_any_shape_works(home: Path, model: Any, shape: tuple[int, ...], sigma: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    clean = DnCNNDenoising(model=model, sigma=sigma)(image, None)
    assert (clean.shape, clean.dtype) == (shape, np.float32)
    assert np.isfinite(clean).all()
    flat = np.full(shape, -1000, np.int16)
    np.testing.assert_array_equal(DnCNNDenoising(model=model)(flat, None), flat)
    assert np.isfinite(DnCNNDenoising(model=model, sigma=10.0)(flat, None)).all()


def test_weights_are_asked_for_before_any_work(home: Path) -> None:
    DnCNNDenoising().require_ready()
    DnCNNDenoising(model="fixed").require_ready()
    for step in (DnCNNDenoising(layers=17), DnCNNDenoising(layers=17, model="fixed")):
        with pytest.raises(
            WeightsError, match=r"dncnn17.\.mpk: .* SAMTAILOR_OFFLINE forbids .* choose another --denoise"
        ):
            step.require_ready()


@pytest.mark.parametrize("name", ["L", "M", "H", "N"])
def test_other_weights_than_those_of_old_are_refused(home: Path, name: str) -> None:
    write_flax(home / "weights" / f"dncnn6{name}.mpk", dncnn_weights(6, 1, seed=99))
    with pytest.raises(WeightsError, match=rf"dncnn6{name}\.mpk: expected sha256"):
        DnCNNDenoising(model="adjustable" if name == "N" else "fixed").require_ready()


@pytest.mark.parametrize("wrong", [{"layers": 7}, {"layers": True}, {"layers": "6"}, {"model": "L"}, {"sigma": -1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"denoise\.{name}: expected "):
        DnCNNDenoising(**wrong)


@pytest.mark.weights
class TestRealWeights:
    """About 29 dB where noise of 25/255 lay over a natural image; the paper has 29.23 for 68 others (its Table 2)."""

    @pytest.fixture(scope="class")
    def camera(self) -> np.ndarray:
        from skimage.data import camera

        return camera()[None, None].astype(np.float64)

    @pytest.mark.parametrize(
        ("layers", "model", "least"),
        [(6, "adjustable", 29.5), (17, "adjustable", 29.6), (6, "fixed", 28.3), (17, "fixed", 29.6)],
    )
    def test_they_reach_what_the_paper_reports(self, camera: Any, layers: Any, model: Any, least: float) -> None:
        image = noisy(camera, 25)
        assert psnr(image, camera) == pytest.approx(20.17, abs=0.1)
        clean = DnCNNDenoising(layers=layers, model=model)(image, None)
        assert least < psnr(clean, camera) < least + 0.5
        assert (clean - image).mean() == pytest.approx(0, abs=1e-3)

    def test_the_level_is_estimated(self, camera: Any) -> None:
        assert estimate_noise(noisy(camera, 25)[0]) == pytest.approx(25, rel=0.05)

    @pytest.mark.parametrize(("name", "expected"), SCICO.items())
    def test_they_find_what_they_find_in_scico(self, camera: Any, name: str, expected: float) -> None:
        layers, has_level = int(name[:-1]), name[-1] == "N"
        image = noisy(camera, 25)[0, 0, 200:300, 200:300].astype(np.float32) / 255
        network = module._network(module._fetch(name), layers, 1 + has_level)
        found = noise_of(network, np.pad(image, layers, mode="wrap"), 0.1 if has_level else None)
        assert found.std() == pytest.approx(expected, rel=1e-4)
