"""How images of any number of channels meet networks that take three, in plain values; light to import."""

from __future__ import annotations

COLOURS = 3
"""Channels that every base model takes."""


def needs_projection(channels: int) -> bool:
    """Whether images go through a learned projection to three channels: one is repeated, three go in as they are."""
    return channels not in (1, COLOURS)
