"""Bars on the screen."""

from __future__ import annotations

from contextlib import ExitStack
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
from samtailor.progress import Unit, shown_by


class Bars:
    """Shows what is reported while it is open: one bar at a time, and one for every file that is fetched.

    A bar lives from the first report of its work to the last; between them the screen is free, since Lightning shows
    bars of its own and only one display can be alive. Of several processes the first shows its part.
    """

    def __init__(self) -> None:
        """Show bars on the error stream: the output stream is for results."""
        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._unit: Unit = "items"
        self._tasks: dict[str, TaskID] = {}
        self._finished = ""
        self._listening = ExitStack()

    def __call__(self, what: str, done: float, total: int, unit: Unit) -> None:
        """Show how far work is (see `samtailor.progress.Display`)."""
        if not world().is_first or (self._progress is None and what == self._finished):
            return  # told again that it is done
        if self._progress is None or unit != self._unit or (unit == "items" and what not in self._tasks):
            self._start(unit)
        assert self._progress is not None
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=None)
        self._progress.update(self._tasks[what], completed=done, total=total or None)
        if unit == "items" and done >= total:
            self.close()
            self._finished = what

    def _start(self, unit: Unit) -> None:
        """Show the first bar of a kind."""
        self.close()
        self._unit = unit
        count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console)
        self._progress.start()

    def close(self) -> None:
        """Leave the screen to others."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()

    def __enter__(self) -> Self:
        self._listening.enter_context(shown_by(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.close()
        self.close()
