"""Image tokens of many prompts as one image's tokens, scaled, plus a few rows for each prompt.

For cell n of prompt b the token is

    token[b, n] = gain[b, n] * base[n] + sum over rows r of share[b, r, n] * direction[b, r] + offset

Attention to few tokens adds rows, layer normalisation scales gain and shares and turns the offset into a row, so this
form lasts through the whole two-way transformer. A direction made by an attention head is value @ weight with d numbers
per value; weights are the network's, so that their products are of size d, never of the tokens' width C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, H d) to (B, H, T, d)."""
    return tokens.view(*tokens.shape[:2], heads, -1).transpose(1, 2)


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
        made: Tensor = self._made[key]
        return made


class LowRankTokens:
    """Image tokens of B prompts (see the module)."""

    def __init__(self, image: ImageTokens, batch: int) -> None:
        self.image = image
        self.batch = batch
        self.norms = 0  # normalisations so far: with the network they decide everything that is shared
        self.base = image.tokens
        self.gain: Tensor | None = None  # (B, N); one before the first normalisation
        self.shares: Tensor | None = None  # (B, R, N)
        self.values: list[Tensor] = []  # of each attention, (B, H, T, d)
        self.weights: list[Tensor] = []  # of each attention, (H, d, C)
        self.constants: list[Tensor] = []  # directions of rows that all prompts share, (C,)
        self.offset: Tensor | None = None  # (C,)

    def times_shared(self, tokens: Tensor, shared: Tensor) -> Tensor:
        """Products of tokens (B, H, T, d) with something of the image (H, d, N), (B, H T, N)."""
        batch, heads, count, width = tokens.shape
        if batch == 1:
            return torch.bmm(tokens[0], shared).view(1, heads * count, -1)
        rows = tokens.transpose(0, 1).reshape(heads, batch * count, width)
        found = torch.bmm(rows, shared).view(heads, batch, count, -1)
        return found.transpose(0, 1).reshape(batch, heads * count, -1)

    def scores(self, tokens: Tensor, projection: nn.Linear) -> Tensor:
        """Products of tokens (B, H, T, d) with the projected cells, positions added, (B, H T, N)."""
        heads = tokens.shape[1]
        weight = projection.weight.view(heads, -1, projection.weight.shape[1])
        key = (self.norms, id(projection))
        base = self.image.once((*key, "base"), lambda: weight @ self.base)
        place = self.image.once((*key, "place"), lambda: self._place(weight, projection.bias))
        assert self.gain is not None
        assert self.shares is not None
        found = self.times_shared(tokens, base).mul_(self.gain[:, None])
        found += self.times_shared(tokens, place)
        return found.baddbmm_(self._directions_times(tokens, weight, key), self.shares)

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
        assert self.shares is not None
        rows = chances @ self.shares.transpose(1, 2)  # (B, H T, R)
        found = torch.einsum(
            "bhtr,bhrd->bhtd", rows.view(self.batch, heads, -1, rows.shape[2]), self._directions(weight, key)
        )
        chances.mul_(self.gain[:, None])
        by_head = chances.view(self.batch, heads, -1, chances.shape[2]).transpose(0, 1).flatten(1, 2)  # (H, B T, N)
        shared = torch.bmm(by_head, base).view(heads, self.batch, -1, base.shape[2]).transpose(0, 1)
        found = (found + shared).transpose(1, 2).flatten(2)
        found += projection.bias if self.offset is None else projection(self.offset)
        output = attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj
        attended: Tensor = output(found)
        return attended

    def add(self, shares: Tensor, values: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        """Add what an image-to-token attention gives.

        Args:
            shares: Of each head and token in each cell, (B, H T, N).
            values: (B, H, T, d).
            weight: Of the output projection, (C, H d).
            bias: Of the output projection, (C,), if it is not in the image's tokens yet.
        """
        self.shares = shares if self.shares is None else torch.cat([self.shares, shares], dim=1)
        # Rows of the constants lie behind those of the attentions before them: there are none before the second.
        self.values.append(values)
        self.weights.append(weight.T.view(values.shape[1], -1, len(weight)))
        if bias is not None:
            self.offset = bias if self.offset is None else self.offset + bias

    def normalise(self, norm: nn.LayerNorm) -> None:
        """Layer normalisation of every cell over its channels."""
        assert self.shares is not None
        if self.offset is not None:
            assert self.gain is not None
            self.constants.append(self.offset)
            self.shares = torch.cat([self.shares, torch.ones_like(self.gain)[:, None]], dim=1)
        key = (self.norms, "norm")
        self.base = self.image.once((*key, "base"), lambda: self.base - self.base.mean(dim=0))
        self.weights = [weight - weight.mean(dim=-1, keepdim=True) for weight in self.weights]
        self.constants = [constant - constant.mean() for constant in self.constants]
        square = self.image.once((*key, "square"), lambda: self.base.square().sum(dim=0))
        cross = self._cross(key)
        gram = self._gram()
        if self.gain is None:
            products = torch.baddbmm(cross, gram, self.shares, beta=2)
            total = products.mul_(self.shares).sum(dim=1) + square
        else:
            products = torch.baddbmm(cross.mul_(self.gain[:, None]), gram, self.shares, beta=2)
            total = products.mul_(self.shares).sum(dim=1) + self.gain.square() * square
        scale = (total / len(self.base) + norm.eps).rsqrt()
        self.gain = scale if self.gain is None else self.gain * scale
        self.shares = self.shares * scale[:, None]
        self.base = self.image.once((*key, "scaled"), lambda: self.base * norm.weight[:, None])
        self.weights = [weight * norm.weight for weight in self.weights]
        self.constants = [constant * norm.weight for constant in self.constants]
        self.offset = norm.bias
        self.norms += 1

    def projected(self, prompt: int, weight: Tensor, bias: Tensor) -> Tensor:
        """The cells of one prompt through a linear layer (C_out, C), (N, C_out)."""
        assert self.gain is not None
        assert self.shares is not None
        assert self.offset is not None
        base = self.image.once((self.norms, "projected"), lambda: (weight @ self.base).T.contiguous())
        directions = torch.cat(
            [
                *((v[prompt] @ w).flatten(0, 1) for v, w in zip(self.values, self.weights, strict=True)),
                *(constant[None] for constant in self.constants),
            ]
        )
        found = base * self.gain[prompt][:, None]
        found.addmm_(self.shares[prompt].T, directions @ weight.T)
        return found.add_(weight @ self.offset + bias)

    def _place(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Projected positions and offset, (H, d, N)."""
        places = self.image.positions if self.offset is None else self.image.positions + self.offset[:, None]
        return weight @ places + bias.view(*weight.shape[:2], 1)

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

    def _directions_times(self, tokens: Tensor, weight: Tensor, key: tuple[Any, ...]) -> Tensor:
        """Products of tokens (B, H, T, d) with all rows' projected directions, (B, H T, R)."""
        return (tokens @ self._directions(weight, key).transpose(2, 3)).flatten(1, 2)

    def _cross(self, key: tuple[Any, ...]) -> Tensor:
        """Products of all rows' directions with the base's cells, (B, R, N)."""
        parts = []
        for i, (values, weight) in enumerate(zip(self.values, self.weights, strict=True)):
            shared = self.image.once((*key, "cross", i), lambda weight=weight: weight @ self.base)
            parts.append(self.times_shared(values, shared))
        for i, constant in enumerate(self.constants):
            row = self.image.once((*key, "constant", i), lambda constant=constant: constant @ self.base)
            parts.append(row.expand(self.batch, 1, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _gram(self) -> Tensor:
        """Products of all rows' directions among themselves, (B, R, R)."""
        directions = torch.cat(
            [
                *((v @ w).flatten(1, 2) for v, w in zip(self.values, self.weights, strict=True)),
                *(constant.expand(self.batch, 1, -1) for constant in self.constants),
            ],
            dim=1,
        )
        return directions @ directions.transpose(1, 2)
