"""How images of any number of channels meet networks that take three, in plain values; light to import."""

from __future__ import annotations

COLOURS = 3
"""Channels that every base model takes."""

ChannelChoice = int | tuple[int, ...]
"""How many channels an image must have, or the numbers of those that are taken of it, from 1 as GDAL counts bands."""


def count_of(choice: ChannelChoice) -> int:
    """How many channels a choice leaves."""
    return choice if isinstance(choice, int) else len(choice)


def needs_projection(channels: int) -> bool:
    """Whether images go through a learned projection to three channels: one is repeated, three go in as they are."""
    return channels not in (1, COLOURS)
