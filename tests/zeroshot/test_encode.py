"""The image embedding of a base, of the part that shows the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import samtailor
from samtailor.errors import DataError
from samtailor.models.sam import AnySizeSam
from samtailor.models.zoo import load_base
from tests.tiny_base import Base


def test_the_embedding_is_the_encoders_of_what_shows_the_picture(tiny_base: Base) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (30, 60, 3), np.uint8)
    picture[0, 0], picture[0, 1] = 0, 255
    found = samtailor.encode(picture, base=tiny_base.name, image_size=64, device="cpu")
    square = np.zeros((60, 60, 3), np.uint8)
    square[:30] = picture
    whole = samtailor.encode(square, base=tiny_base.name, image_size=64, device="cpu")
    cells = 64 // tiny_base.stride
    assert whole.shape[1:] == (cells, cells)
    assert found.shape == (whole.shape[0], cells // 2, cells)
    network = load_base(tiny_base.name)
    assert isinstance(network, AnySizeSam)
    assert torch.isfinite(found).all()
    assert not torch.equal(found, torch.zeros_like(found))


def test_what_is_no_picture_is_refused(tiny_base: Base) -> None:
    with pytest.raises(DataError, match="expected rows x columns"):
        samtailor.encode(np.zeros((2, 3, 4, 5), np.uint8), base=tiny_base.name, image_size=64)
