"""A network made ready for prediction: updates and normalisations folded into the weights beside them."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Protocol, TypeVar, runtime_checkable

from peft.tuners.lora import LoraLayer
from torch import nn

from samtailor.recipes.lora import merge_lora

Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A module that one of fewer operations can stand for when nothing is trained."""

    def folded(self) -> nn.Module:
        """A module that gives the same; it may share weights with this one, and does not change it."""
        ...


def inference_copy(network: Network) -> Network:
    """Copy of a network for prediction, in evaluation mode: LoRA merged, foldable modules folded.

    What is neither merged nor folded is shared with the network, so that the copy takes little memory; it shows the
    network as it is now, and is to be made anew after a training step. To be used without gradients.
    """
    updated = {id(p) for module in network.modules() if isinstance(module, LoraLayer) for p in module.parameters()}
    tensors = chain(network.parameters(), network.buffers())
    shared = {id(tensor): tensor for tensor in tensors if id(tensor) not in updated}
    ready = copy.deepcopy(network, shared)
    merge_lora(ready)
    for parent in list(ready.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Foldable):
                setattr(parent, name, child.folded())
    return ready.eval()
