"""Amounts in words: one wording for every line that is printed."""

from __future__ import annotations

import pytest

from samtailor.reporting.amounts import in_bytes, in_time, in_time_left


@pytest.mark.parametrize(
    ("size", "words"),
    [(300 * 2**10, "300 KiB"), (2**20, "1 MiB"), (830 * 2**20, "830 MiB"), (2.5 * 2**30, "2.5 GiB")],
)
def test_bytes(size: float, words: str) -> None:
    assert in_bytes(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.045, "45 ms"),
        (2.14, "2.1 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (14 * 60 + 20, "14 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_seconds(seconds: float, words: str) -> None:
    assert in_time(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "above", "words"),
    [(250, 240, "5 min"), (100, 90, "3 min"), (330, 240, "6 min"), (7210, 7200, "2 h 01 min"), (59, 40, "59.0 s")],
)
def test_what_is_needed_is_told_from_what_there_is(seconds: float, above: float, words: str) -> None:
    assert in_time(seconds, above) == words
    assert in_time(above) != words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s left"), (50.4, "50 s left"), (60, "1 min left"), (11100, "3 h 05 min left")],
)
def test_time_left_is_a_guess_and_is_told_without_fractions(seconds: float, words: str) -> None:
    assert in_time_left(seconds) == words
