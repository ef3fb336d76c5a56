"""torch's operators that have no public name, and the public way for a torch that lacks them or has changed them.

They compute in memory that is there already, or apply GELU while a product is still in registers; fresh memory costs
more than the arithmetic on it (docs/how-it-works.md). The public ways give the same numbers but for rounding.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ONE = torch.ones(1, 1, device="cpu")


def _find(name: str, *example: Any, **named: Any) -> Any:
    """An operator of `torch.ops`, or None if this torch has none that takes such arguments."""
    try:
        operator = attrgetter(name)(torch.ops)
        operator(*example, **named)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return operator


_GELU = _find("aten.gelu_", _ONE.clone())
_GELU_BACKWARD = _find("aten.gelu_backward.grad_input", _ONE, _ONE, grad_input=_ONE.clone())
_SOFTMAX_BACKWARD = _find("aten._softmax_backward_data.out", _ONE, _ONE, -1, torch.float32, grad_input=_ONE.clone())
# What torch.compile makes of a linear layer and the activation after it.
_LINEAR = _find("mkldnn._linear_pointwise", _ONE, _ONE, None, "gelu", [], "none")


def gelu_(values: Tensor) -> Tensor:
    """GELU in place."""
    return values.copy_(F.gelu(values)) if _GELU is None else cast(Tensor, _GELU(values))


def gelu_backward_(gradient: Tensor, before: Tensor) -> None:
    """Make the gradient of GELU's result, in place, that of what was `before` GELU."""
    if _GELU_BACKWARD is not None:
        _GELU_BACKWARD(gradient, before, grad_input=gradient)
        return
    with torch.enable_grad():
        leaf = before.detach().requires_grad_()
        gradient.copy_(torch.autograd.grad(F.gelu(leaf), leaf, gradient)[0])


def softmax_backward_(gradient: Tensor, weights: Tensor) -> None:
    """Make the gradient of softmax's result `weights`, over the last axis, that of its scores, in place."""
    if _SOFTMAX_BACKWARD is not None:
        _SOFTMAX_BACKWARD(gradient, weights, -1, gradient.dtype, grad_input=gradient)
        return
    gradient.sub_((gradient * weights).sum(dim=-1, keepdim=True)).mul_(weights)


def has_onednn_linear() -> bool:
    """Whether `onednn_linear` can be called."""
    return _LINEAR is not None


def onednn_linear(tokens: Tensor, weight: Tensor, bias: Tensor | None, with_gelu: bool) -> Tensor:
    """`F.linear`, and GELU if asked for, by oneDNN; tokens contiguous, single precision, on a CPU."""
    return cast(Tensor, _LINEAR(tokens, weight, bias, "gelu" if with_gelu else "none", [], "none"))


def gelu(fresh: Tensor) -> Tensor:
    """GELU of a tensor that nobody else holds, in place where no gradient asks for it.

    (B, C, H, W) in channels-last order is taken as (B, H, W, C): only contiguous tensors get the fast kernel.
    """
    is_channels_last = fresh.dim() == 4 and not fresh.is_contiguous()
    values = fresh.permute(0, 2, 3, 1) if is_channels_last else fresh
    output = F.gelu(values) if fresh.requires_grad else gelu_(values)
    return output.permute(0, 3, 1, 2) if is_channels_last else output


class GELU(nn.Module):
    """`gelu` as a layer."""

    def forward(self, fresh: Tensor) -> Tensor:
        """What `gelu` does."""
        return gelu(fresh)
