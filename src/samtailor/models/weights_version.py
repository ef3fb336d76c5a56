"""Whether the weights of a network are those of before."""

from __future__ import annotations

from itertools import chain

from torch import nn


def weights_version(network: nn.Module) -> object:
    """Something that equals itself as long as no parameter or buffer was changed, moved or replaced.

    PyTorch counts what is written to a tensor in `_version`, a private name; without it nothing ever equals itself.
    """
    tensors = chain(network.parameters(), network.buffers())
    return [(tensor.data_ptr(), getattr(tensor, "_version", object())) for tensor in tensors]
