"""Threads for what takes long: the loop that answers requests never waits for a file or a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

_READERS = 8
T = TypeVar("T")


class Threads:
    """A few threads for files, and one for networks: these take all cores, and requests wait for them in line."""

    def __init__(self) -> None:
        """Begin without any."""
        self._files, self._networks = CapacityLimiter(_READERS), CapacityLimiter(1)

    async def with_files(self, work: Callable[..., T], *arguments: Any) -> T:
        """What work gives that reads or writes files."""
        return await to_thread.run_sync(partial(work, *arguments), limiter=self._files)

    async def with_networks(self, work: Callable[..., T], *arguments: Any) -> T:
        """What work gives that computes."""
        return await to_thread.run_sync(partial(work, *arguments), limiter=self._networks)
