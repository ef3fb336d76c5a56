"""Products of tokens with the weights of linear layers, by oneDNN on a CPU.

torch gives a float32 product to MKL. oneDNN's kernels, which torch uses for convolutions, are a tenth faster on the
machine of docs/benchmarks.md, and give GELU for nothing: it is applied while the results are still in registers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from samtailor.models.operators import gelu, has_onednn_linear, onednn_linear


def product(tokens: Tensor, weight: Tensor, bias: Tensor | None = None, with_gelu: bool = False) -> Tensor:
    """Tokens (..., C_in) x weight^T (C_out, C_in) + bias, and GELU if asked for; new memory, without gradient."""
    if not _is_fused() or not in_single_precision(tokens, weight):
        output = F.linear(tokens, weight, bias)
        return gelu(output) if with_gelu else output
    return onednn_linear(tokens.contiguous(), weight, bias, with_gelu)


def _is_fused() -> bool:
    """Whether oneDNN's product is there and wanted; torch.compile, which fuses by itself, cannot take it."""
    return has_onednn_linear() and bool(torch.backends.mkldnn.enabled) and not torch.compiler.is_compiling()


def in_single_precision(*tensors: Tensor) -> bool:
    """Whether tensors are on a CPU and computed with as they are, in float32."""
    plain = not torch.is_autocast_enabled("cpu")
    return plain and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None, with_gelu: bool = False) -> Tensor:
    """The same, to be differentiated too; by `product` where no weight is trained."""
    if not torch.is_grad_enabled():
        return product(tokens, weight, bias, with_gelu)
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    if trained or not in_single_precision(tokens, weight):
        output = F.linear(tokens, weight, bias)
    else:
        output = _Frozen.apply(tokens, weight, bias)  # type: ignore[no-untyped-call]
    return gelu(output) if with_gelu else output


class Linear(nn.Linear):
    """The same as a layer."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C_in) to (..., C_out)."""
        return linear(tokens, self.weight, self.bias)


class _Frozen(torch.autograd.Function):
    """Forward pass, and gradient of the tokens alone."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., C_in) to (..., C_out)."""
        ctx.save_for_backward(weight)
        return product(tokens, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the tokens."""
        (weight,) = ctx.saved_tensors
        return product(gradient, weight.T), None, None
