"""Denoising by DnCNN, with weights that others have trained on natural images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Percentile
from samtailor.data.steps.noise import NoiseLevel, by_channel
from samtailor.data.steps.step import PreprocessingStep
from samtailor.data.steps.tiles import filtered

if TYPE_CHECKING:
    from samtailor.data.steps.dncnn_network import DnCNN

_TRAINED = {"L": 0.06, "M": 0.10, "H": 0.20}
"""Standard deviations of the noise, of intensities in [0, 1], that the networks for one level were trained with."""
_MOST = 0.20
"""The largest one that the network for any level was trained with."""

# Of the files in the wheel of scico 0.0.7 (BSD-3-Clause); they pin what every result rests on.
_CHECKSUMS = {
    "6L": "f9c4d897d9051377bb5523301b28197b8bccb08a651a652624753eacdefbec19",
    "6M": "91a4c184bd67a44b4ca717ffdfadda77c54762abfc672236b481cdc98c0a9b68",
    "6H": "cdd0a720adf45523be646867a28b36386a4d6b3b94986f6f982d835934508007",
    "6N": "e30dcdd9f5c35a36598560b95b759f35506632c35fc2acf361731f1e8e00d899",
    "17L": "640d7a1f74d88fba6af6b05882049d1fdf44372d039aead1c491266c3fe5ef23",
    "17M": "1b92262ccb8d7c9fc6cb7328fd1e0922499d2325afba65c2b161556deb7447cf",
    "17H": "f3178a60f871ae5c4f423a5a9cc0158206375b568d272c79a30640e3a1737507",
    "17N": "92f6710a43588ceab25275eaedceda81bca99f814c3f825651087a4e24a71ad7",
}


@dataclass(frozen=True)
class DnCNNDenoising(PreprocessingStep):
    """Subtracts the noise that a network finds (Zhang et al. 2017, arXiv 1608.03981), each channel for itself.

    The network sees what lies between the 0.5th and 99.5th percentile of the case's channel, scaled to [0, 1]; what is
    beyond it sees as the nearer of the two, and loses only the noise found there. Networks for one level see it scaled
    so that the noise has the nearest of their levels. The mean of each slice stays.

    Attributes:
        sigma: Standard deviation of the noise, in the image's intensities; 'auto' estimates it for each case.
        layers: Layers of the network; 17 take four times as long as 6.
        model: 'adjustable' is told the level of the noise; 'fixed' is one of three networks, trained at 6, 10 and 20 %
            of the intensities' range: better where noise is strong, worse where it is weak.
    """

    sigma: NoiseLevel = "auto"
    layers: Literal[6, 17] = 6
    model: Literal["adjustable", "fixed"] = "adjustable"

    def require_ready(self) -> None:
        """Fetch the weights, unless they are there."""
        for name in "N" if self.model == "adjustable" else _TRAINED:
            _fetch(f"{self.layers}{name}")

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[np.float32]:
        """The denoised image, (C, S, H, W)."""
        return by_channel(image, self.sigma, self._channel)

    def _channel(self, channel: NDArray[Any], noise: float) -> NDArray[np.float32]:
        from samtailor.data.steps.dncnn_network import noise_of

        low, high = Percentile().limits(channel)
        level = min(noise / (high - low), _MOST) if low < high else _MOST
        if self.model == "adjustable":
            name, told = "N", level
        else:
            name, told = min(_TRAINED, key=lambda name: abs(math.log(_TRAINED[name] / level))), None
            level = _TRAINED[name]
        unit, reach = noise / level, self.layers
        network = _network(_fetch(f"{self.layers}{name}"), self.layers, 1 if told is None else 2)

        def clean(tile: NDArray[np.float32]) -> NDArray[np.float32]:
            seen = (np.clip(tile, low, high) - (low + high) / 2) / unit + 0.5
            found = noise_of(network, seen.astype(np.float32, copy=False), told)
            return tile[reach:-reach, reach:-reach] - np.float32(unit) * found

        result = filtered(channel, reach, clean)
        # Of noise the mean is zero; that of what a network finds is not quite.
        shift = channel.mean((1, 2), np.float64, keepdims=True) - result.mean((1, 2), np.float64, keepdims=True)
        result += shift.astype(np.float32)
        return result


def _fetch(name: str) -> Path:
    """The file with the weights of a network."""
    from samtailor.published import WheelFile, fetch

    member = f"scico/data/flax/dncnn{name}.mpk"
    return fetch(WheelFile("scico==0.0.7", member, _CHECKSUMS[name], otherwise="choose another --denoise"))


@cache
def _network(file: Path, layers: int, channels: int) -> DnCNN:
    from samtailor.data.steps.dncnn_network import read_dncnn

    return read_dncnn(file, layers, channels)
