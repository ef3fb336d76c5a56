"""Bytes and seconds in words."""

from __future__ import annotations


def in_bytes(size: float) -> str:
    """Bytes in words: 830 MiB, 2.5 GiB."""
    if size < 2**30:
        return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    return f"{size / 2**30:.1f} GiB"


def in_time(seconds: float, above: float | None = None) -> str:
    """Seconds in words: 45 ms, 2.1 s, 14 min, 3 h 05 min.

    Args:
        seconds: How many.
        above: Fewer, beside which they are told: where both would read the same, the words are of a minute more.
    """
    if above is not None and in_time(seconds) == in_time(above):
        seconds = 60 * (round(above / 60) + 1)
    minutes = round(seconds / 60)
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def in_time_left(seconds: float) -> str:
    """What a line of progress says of the seconds that work may still take: 0 s left, 50 s left, 14 min left."""
    return f"{seconds:.0f} s left" if seconds < 60 else f"{in_time(seconds)} left"
