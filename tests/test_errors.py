"""Words that errors and reports are made of."""

from __future__ import annotations

import pytest

from samtailor.errors import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "error", "0 errors"),
        (1, "error", "1 error"),
        (2, "error", "2 errors"),
        (1, "class", "1 class"),
        (6, "class", "6 classes"),
    ],
)
def test_what_is_counted_is_named_as_one_or_as_several(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
