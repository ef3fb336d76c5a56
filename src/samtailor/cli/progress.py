"""Progress on the screen."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from samtailor.distributed.world import world


class Bars:
    """One bar at a time, from the first report of a task to its last; the screen is free between tasks.

    Lightning shows its own bars, and only one display can be alive. Of several processes the first shows its part.
    """

    def __init__(self) -> None:
        """Show bars on the error stream: the output stream is for results."""
        self._console = Console(stderr=True)
        self._what = ""
        self._progress: Progress | None = None

    def __call__(self, what: str, done: float, total: int) -> None:
        """Report.

        Args:
            what: What is being done.
            done: How many are done, the current one as a fraction.
            total: How many there are.
        """
        if not world().is_first:
            return
        if self._progress is None and what == self._what:
            return  # told again that it is done
        if self._progress is None or what != self._what:
            self.close()
            self._what = what
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=self._console)
            self._progress.add_task(what, total=total)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Leave the screen to others."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Downloads:
    """A bar in bytes for every file that is fetched; nothing where nothing is."""

    def __init__(self) -> None:
        """Show bars on the error stream."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._files: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        """Report.

        Args:
            name: The file.
            done: Bytes that have come.
            total: All its bytes; 0 while nobody knows.
        """
        if not world().is_first:
            return
        if not self._files:
            self._progress.start()
        if name not in self._files:
            self._files[name] = self._progress.add_task(name, total=None)
        self._progress.update(self._files[name], completed=done, total=total or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._files:
            self._progress.stop()
