"""Items made ahead keep their order, their errors and a bound on their number."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from samtailor.inference.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 7])
def test_items_come_in_order(count: int) -> None:
    assert list(ahead(range(count))) == list(range(count))


def test_the_next_item_is_made_while_the_caller_works() -> None:
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for index, event in enumerate(begun):
            event.set()
            yield index

    for index in ahead(items()):
        if index < 2:
            assert begun[index + 1].wait(10)


def test_no_more_than_the_bound_is_made() -> None:
    made: list[int] = []
    taken = ahead(made.append(i) or i for i in range(100))
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert len(made) <= 2


def test_an_error_comes_in_its_place() -> None:
    taken = ahead(1 // (2 - i) for i in range(4))
    assert [next(taken), next(taken)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(taken)
