"""DnCNN computes what its layers say, in flax's order and axes, and refuses weights of another network."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch

from samtailor.data.steps.dncnn_network import noise_of, read_dncnn
from samtailor.errors import WeightsError
from tests.data.steps.flax_file import Tree, dncnn_weights, literal_noise, write_flax


@pytest.mark.parametrize("layers", [6, 17])
@pytest.mark.parametrize("level", [None, 0.15])
def test_it_is_the_network_written_down_literally(tmp_path: Path, layers: int, level: float | None) -> None:
    channels = 1 if level is None else 2
    weights = dncnn_weights(layers, channels)
    network = read_dncnn(write_flax(tmp_path / "w.mpk", weights), layers, channels)
    image = np.random.default_rng(1).random((2 * layers + 5, 2 * layers + 8), np.float32)
    seen = torch.from_numpy(image)[None, None]
    seen = seen if level is None else torch.cat([seen, torch.full_like(seen, level)], dim=1)
    expected = literal_noise(weights, seen)[0, 0].numpy()
    found = noise_of(network, image, level)
    assert found.shape == (5, 8)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max() + 1e-6)


def test_the_level_matters(tmp_path: Path) -> None:
    network = read_dncnn(write_flax(tmp_path / "w.mpk", dncnn_weights(6, 2)), 6, 2)
    image = np.random.default_rng(1).random((20, 20), np.float32)
    assert np.abs(noise_of(network, image, 0.1) - noise_of(network, image, 0.2)).max() > 1e-3


def without_a_layer(weights: Tree) -> None:
    del weights["params"]["ConvBNBlock_3"]


def with_another_shape(weights: Tree) -> None:
    weights["params"]["conv_start"]["kernel"] = weights["params"]["conv_start"]["kernel"][:, :, :, :32]


def with_turned_axes(weights: Tree) -> None:
    weights["params"]["conv_end"]["kernel"] = weights["params"]["conv_end"]["kernel"].transpose(3, 2, 0, 1)


def with_something_else(weights: Tree) -> None:
    weights["optimiser"] = {"step": np.zeros(1, np.float32)}


@pytest.mark.parametrize("change", [without_a_layer, with_another_shape, with_turned_axes, with_something_else])
def test_another_network_is_refused(tmp_path: Path, change: Callable[[Tree], None]) -> None:
    weights = dncnn_weights(6, 1)
    change(weights)
    with pytest.raises(WeightsError, match=r"w\.mpk: expected a DnCNN of 6 layers and 1 channels, found another"):
        read_dncnn(write_flax(tmp_path / "w.mpk", weights), 6, 1)


@pytest.mark.parametrize(("layers", "channels"), [(17, 1), (6, 2)])
def test_the_wrong_file_is_refused(tmp_path: Path, layers: int, channels: int) -> None:
    with pytest.raises(WeightsError, match=f"expected a DnCNN of {layers} layers and {channels} channels"):
        read_dncnn(write_flax(tmp_path / "w.mpk", dncnn_weights(6, 1)), layers, channels)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04K\x01.",
        pickle.dumps({"params": 1}),
        msgpack.packb({"params": 1}),
        msgpack.packb([1, 2]),
        msgpack.packb({"params": msgpack.ExtType(3, msgpack.packb(([2], "float32", b"12345678")))}),
        msgpack.packb({"params": msgpack.ExtType(1, b"x")}),
        msgpack.packb({"params": msgpack.ExtType(1, msgpack.packb(([2], "float32", b"1234")))}),
        msgpack.packb({"params": msgpack.ExtType(1, msgpack.packb(([2], "object", b"12345678")))}),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.mpk").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.mpk: expected weights that flax has written, found"):
        read_dncnn(tmp_path / "w.mpk", 6, 1)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_flax(tmp_path / "w.mpk", dncnn_weights(6, 1))
    whole = path.read_bytes()
    for size in (10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=r"w\.mpk: expected"):
            read_dncnn(path, 6, 1)
