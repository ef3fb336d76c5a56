"""Working ahead: the next item is made in a thread of its own while the caller works on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The items in order, each begun while the caller still works on an earlier one.

    Args:
        items: Made in one other thread; an error there comes up here, in its place.
        depth: Items that are finished, or being made, beside the caller's at most.
    """
    source = iter(items)

    def following() -> object:
        return next(source, _END)

    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[object]] = deque(pool.submit(following) for _ in range(depth))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(following))
            yield item  # type: ignore[misc]
