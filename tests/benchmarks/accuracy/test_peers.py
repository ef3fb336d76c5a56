"""Peers are the networks that they are called, planned by nnU-Net's rule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.accuracy.peers import (
    DYNUNET,
    DYNUNET_HALF,
    SEGFORMER,
    UNET,
    UNET_HALF,
    Patch,
    Peer,
    patch_of,
    strides_of,
)


@pytest.mark.parametrize(
    ("size", "patch", "stages", "last"),
    [
        ((512, 512), (512, 512), 8, (2, 2)),  # nnU-Net's own plan of abdominal CT
        ((224, 224), (224, 224), 6, (2, 2)),
        ((257, 257), (320, 320), 7, (2, 2)),  # six halvings
        ((212, 303.5), (224, 320), 7, (1, 2)),  # the shorter side is halved once less
        ((10, 3000), (32, 512), 8, (1, 2)),
    ],
)
def test_patches_and_stages_follow_nnunet(size: Patch, patch: Patch, stages: int, last: tuple[int, int]) -> None:
    assert patch_of(*size) == patch
    strides = strides_of(patch)
    assert len(strides) == stages
    assert strides[0] == (1, 1)
    assert strides[-1] == last


@pytest.mark.parametrize(("peer", "first"), [(DYNUNET, 32), (DYNUNET_HALF, 16)])
def test_the_unet_is_as_wide_as_it_says(peer: Peer, first: int) -> None:
    network = peer.build(3, 4, (64, 32))
    convolutions = [
        p for name, p in network.named_parameters() if "conv1.conv.weight" in name and "upsample" not in name
    ]
    assert [len(weight) for weight in convolutions[:5]] == [first * 2**stage for stage in range(5)]
    images = torch.rand(1, 3, 64, 32)
    assert network(images).shape == (1, 3, 4, 64, 32)  # the two coarsest of five stages give nothing
    assert network.eval()(images).shape == (1, 4, 64, 32)
    widest = peer.build(1, 2, (512, 512))
    assert max(len(weight) for weight in widest.parameters()) == 512


def test_segformer_is_b0_with_random_weights() -> None:
    torch.manual_seed(0)
    one, other = (SEGFORMER.build(3, 4, (64, 32)) for _ in range(2))
    # 3.8 million parameters (arXiv 2105.15203, table 1) with 150 classes
    assert sum(p.numel() for p in one.parameters()) == pytest.approx(3.75e6, rel=0.02)
    weights = [network.state_dict()["network.decode_head.classifier.weight"] for network in (one, other)]
    assert not torch.equal(*weights)
    assert "RANDOM" in SEGFORMER.title
    assert one(torch.rand(2, 3, 64, 48)).shape == (2, 4, 64, 48)


@pytest.mark.parametrize("peer", [UNET, UNET_HALF])
def test_the_plain_unet_takes_every_patch(peer: Peer) -> None:
    network = peer.build(3, 4, (32, 64))
    convolutions = [weight for weight in network.parameters() if weight.ndim == 4]
    assert len(convolutions[0]) == 16
    assert max(len(weight) for weight in convolutions) == 256
    for height, width in [(10, 20), (257, 257), (300, 130)]:
        rows, columns = patch_of(height, width)
        assert network(torch.rand(2, 3, rows, columns)).shape == (2, 4, rows, columns)


@pytest.mark.parametrize("peer", [UNET, UNET_HALF])
def test_the_plain_unet_keeps_the_colour_of_a_patch(peer: Peer) -> None:
    norms = [module for module in peer.build(3, 4, (32, 32)).modules() if "Norm" in type(module).__name__]
    assert norms
    assert all(isinstance(norm, nn.BatchNorm2d) for norm in norms)  # not each patch's own mean


def test_the_half_unet_sees_means_of_four_pixels() -> None:
    network = UNET_HALF.build(1, 2, (32, 32)).eval()
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2.0
    flat = torch.full((32, 32), 0.5)
    assert torch.equal(network(board[None, None]), network(flat[None, None]))


@pytest.mark.parametrize("peer", [DYNUNET, UNET, UNET_HALF, SEGFORMER])
def test_rates_end_at_zero(peer: Peer) -> None:
    assert peer.rate(1.0) == 0
    assert peer.rate(0.1) > peer.rate(0.5) > peer.rate(0.9) > 0


def test_the_unet_is_optimised_as_nnunet_does() -> None:
    optimizer = DYNUNET.optimizer([torch.nn.Parameter(torch.zeros(1))])
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.01, 0.99, True, 3e-5)
    assert DYNUNET.rate(0.5) == 0.5**0.9
    assert DYNUNET.clip == 12
