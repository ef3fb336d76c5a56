"""Working ahead: the next item is made in a thread of its own while the caller works on the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items in order, each made in one other thread while the caller works on the one before.

    An error there comes up here, in its place.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(next, source, _END)
        while (item := made.result()) is not _END:
            made = pool.submit(next, source, _END)
            yield item  # type: ignore[misc]
