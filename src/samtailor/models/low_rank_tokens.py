"""Image tokens of many prompts as one image's tokens, scaled, plus a few rows for each prompt.

For cell n of prompt b the token is

    token[b, n] = gain[b, n] * base[n] + sum over rows r of share[b, r, n] * direction[b, r] + offset

Attention to few tokens adds rows, layer normalisation scales gain and shares and turns the offset into a row, so this
form lasts through the whole two-way transformer. A direction made by an attention head is value @ weight with d numbers
per value; weights are the network's, so that their products are of size d, never of the tokens' width C.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, H d) to (B, H, T, d)."""
    return tokens.view(*tokens.shape[:2], heads, -1).transpose(1, 2)


def output_projection(attention: Any) -> Any:
    """Output projection of an attention, which SAM and SAM 2 name differently."""
    return attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj


class ImageTokens:
    """What all prompts of an image share: tokens (C, N), positions (C, N), and products with both, made once."""

    def __init__(self, tokens: Tensor, positions: Tensor) -> None:
        self.tokens = tokens
        self.positions = positions
        self._made: dict[Any, Tensor] = {}

    def once(self, key: tuple[Any, ...], make: Any) -> Tensor:
        """A tensor that depends on the image and the network alone."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


class LowRankTokens:
    """Image tokens of B prompts (see the module)."""

    def __init__(self, image: ImageTokens, batch: int, rows: int) -> None:
        """Start with the image's tokens for B prompts; at most H T rows come of each attention, one of `normalise`."""
        self.image = image
        self.batch = batch
        self.norms = 0  # normalisations so far: with the network they decide everything that is shared
        self.base = image.tokens
        self.gain: Tensor | None = None  # (B, N); one before the first normalisation
        self._rows = image.tokens.new_empty(batch, rows, image.tokens.shape[1])
        self._used = 0
        self.values: list[Tensor] = []  # of each attention, (B, H, T, d)
        self.weights: list[Tensor] = []  # of each attention, (H, d, C)
        self.constants: list[Tensor] = []  # directions of rows that all prompts share, (C,)
        self.offset: Tensor | None = None  # (C,)

    @property
    def shares(self) -> Tensor:
        """(B, R, N)."""
        return self._rows[:, : self._used]

    def times_shared(self, tokens: Tensor, shared: Tensor) -> Tensor:
        """Products of tokens (B, H, T, d) with something of the image (H, d, N): (H, B, T, N), seen as (B, H, T, N)."""
        batch, heads, count, width = tokens.shape
        rows = tokens.transpose(0, 1).reshape(heads, batch * count, width)
        return torch.bmm(rows, shared).view(heads, batch, count, -1).transpose(0, 1)

    def scores(self, tokens: Tensor, projection: nn.Linear) -> Tensor:
        """Products of tokens (B, H, T, d) with the projected cells, positions added, (B, H, T, N)."""
        heads = tokens.shape[1]
        weight = projection.weight.view(heads, -1, projection.weight.shape[1])
        key = (self.norms, id(projection))
        base = self.image.once((*key, "base"), lambda: weight @ self.base)
        place = self.image.once((*key, "place"), lambda: weight @ self._places() + projection.bias.view(heads, -1, 1))
        assert self.gain is not None
        directions = self._directions(weight, key).transpose(2, 3)
        own = torch.bmm((tokens @ directions).flatten(1, 2), self.shares).view(*tokens.shape[:3], -1)
        own.addcmul_(self.times_shared(tokens, base), self.gain[:, None, None])
        return own.add_(self.times_shared(tokens, place))

    def attended(self, attention: Any, queries: Tensor) -> Tensor:
        """Tokens (B, T, C) attend to the cells; (B, T, C) after the output projection."""
        heads = attention.num_attention_heads
        asked = split_heads(attention.q_proj(queries), heads) * attention.scaling
        chances = self.scores(asked, attention.k_proj).softmax(dim=-1)
        projection = attention.v_proj
        weight = projection.weight.view(heads, -1, projection.weight.shape[1])
        key = (self.norms, id(projection))
        base = self.image.once((*key, "value"), lambda: (weight @ self.base).transpose(1, 2).contiguous())
        assert self.gain is not None
        rows = chances.flatten(1, 2) @ self.shares.transpose(1, 2)  # (B, H T, R)
        found = rows.view(*chances.shape[:3], -1) @ self._directions(weight, key)
        by_head = torch.empty_like(chances).view(heads, self.batch, *chances.shape[2:])
        torch.mul(chances.transpose(0, 1), self.gain[None, :, None], out=by_head)
        shared = torch.bmm(by_head.flatten(1, 2), base).view(heads, self.batch, -1, base.shape[2]).transpose(0, 1)
        found = (found + shared).transpose(1, 2).flatten(2)
        found += projection.bias if self.offset is None else projection(self.offset)
        return cast(Tensor, output_projection(attention)(found))

    def add(self, shares: Tensor, values: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        """Add an image-to-token attention: shares (B, H, T, N) of values (B, H, T, d), weight (C, H d), bias (C,).

        The bias is None if the image's tokens have it. A row of a constant must not come before: no SAM is so deep.
        """
        if self.constants:
            raise ValueError("expected at most two layers, found more")
        start, self._used = self._used, self._used + shares.shape[1] * shares.shape[2]
        self._rows[:, start : self._used].view_as(shares).copy_(shares)
        self.values.append(values)
        self.weights.append(weight.T.view(values.shape[1], -1, len(weight)))
        if bias is not None:
            self.offset = bias if self.offset is None else self.offset + bias

    def normalise(self, norm: nn.LayerNorm) -> None:
        """Layer normalisation of every cell over its channels."""
        if self.offset is not None:
            self.constants.append(self.offset)
            self._rows[:, self._used] = 1
            self._used += 1
        key = (self.norms, "norm")
        self.base = self.image.once((*key, "base"), lambda: self.base - self.base.mean(dim=0))
        self.weights = [weight - weight.mean(dim=-1, keepdim=True) for weight in self.weights]
        self.constants = [constant - constant.mean() for constant in self.constants]
        square = self.image.once((*key, "square"), lambda: self.base.square().sum(dim=0))
        directions = self._plain_directions(slice(None))
        products = torch.bmm(directions @ directions.transpose(1, 2), self.shares)
        self._add_cross(products, key)
        total = products.mul_(self.shares).sum(dim=1)
        total += square if self.gain is None else self.gain.square() * square
        scale = (total / len(self.base) + norm.eps).rsqrt_()
        self.gain = scale if self.gain is None else self.gain * scale
        self.shares.mul_(scale[:, None])
        self.base = self.image.once((*key, "scaled"), lambda: self.base * norm.weight[:, None])
        self.weights = [weight * norm.weight for weight in self.weights]
        self.constants = [constant * norm.weight for constant in self.constants]
        self.offset = norm.bias
        self.norms += 1

    def projected(self, prompt: int, weight: Tensor, bias: Tensor) -> Tensor:
        """The cells of one prompt through a linear layer (C_out, C), (N, C_out)."""
        assert self.gain is not None
        assert self.offset is not None
        base = self.image.once((self.norms, "projected"), lambda: (weight @ self.base).T.contiguous())
        directions = self._plain_directions(slice(prompt, prompt + 1))[0]
        found = base * self.gain[prompt][:, None]
        found.addmm_(self.shares[prompt].T, directions @ weight.T)
        return found.add_(weight @ self.offset + bias)

    def _places(self) -> Tensor:
        """Positions and offset, (C, N)."""
        return self.image.positions if self.offset is None else self.image.positions + self.offset[:, None]

    def _directions(self, weight: Tensor, key: tuple[Any, ...]) -> Tensor:
        """All rows' directions through a projection (H, d, C), by its heads, (B, H, R, d)."""
        parts = []
        for i, (values, own) in enumerate(zip(self.values, self.weights, strict=True)):
            # (H', d', H, d): what a number of a value of head H' becomes
            product = self.image.once((*key, "pair", i), lambda own=own: torch.einsum("gec,hdc->gehd", own, weight))
            parts.append(torch.einsum("bgte,gehd->bhgtd", values, product).flatten(2, 3))
        for constant in self.constants:
            parts.append((weight @ constant)[None, :, None].expand(self.batch, -1, -1, -1))
        return torch.cat(parts, dim=2)

    def _add_cross(self, products: Tensor, key: tuple[Any, ...]) -> None:
        """Add twice the products of all rows' directions with the base's cells to (B, R, N)."""
        start = 0
        for i, (values, weight) in enumerate(zip(self.values, self.weights, strict=True)):
            shared = self.image.once((*key, "cross", i), lambda weight=weight: 2 * (weight @ self.base))
            found = self.times_shared(values, shared)
            part = products[:, start : start + found.shape[1] * found.shape[2]].view_as(found)
            start += found.shape[1] * found.shape[2]
            if self.gain is None:
                part.add_(found)
            else:
                part.addcmul_(found, self.gain[:, None, None])
        for i, constant in enumerate(self.constants):
            row = self.image.once((*key, "constant", i), lambda constant=constant: 2 * (constant @ self.base))
            assert self.gain is not None
            products[:, start + i].addcmul_(row, self.gain)

    def _plain_directions(self, prompts: slice) -> Tensor:
        """All rows' directions for some prompts, (B, R, C)."""
        products = [(v[prompts] @ w).flatten(1, 2) for v, w in zip(self.values, self.weights, strict=True)]
        constants = [constant.expand(len(products[0]), 1, -1) for constant in self.constants]
        return torch.cat([*products, *constants], dim=1)
