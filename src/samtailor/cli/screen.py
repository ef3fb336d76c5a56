"""What the command line shows: while a verb works bars, or in a file lines, its log, and the result."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from rich import progress
from rich.console import Console

from samtailor.distributed.world import world
from samtailor.errors import DataWarning
from samtailor.progress import Display, Unit, shown_by, told_every
from samtailor.reporting import terminal
from samtailor.reporting.amounts import in_bytes, in_time, in_time_left
from samtailor.reporting.table import Table

_PYTHONS_FORMAT = warnings.formatwarning


class Bars:
    """Shows what is reported while it is open: one bar at a time, and one for every file that is fetched.

    A bar lives from the first report of its work to the last; between them the screen is free, since Lightning shows
    bars of its own and only one display can be alive. Of several processes the first shows its part.
    """

    def __init__(self, console: Console) -> None:
        """Show bars on a terminal."""
        self._console = console
        self._progress: progress.Progress | None = None
        self._unit: Unit = "items"
        self._tasks: dict[str, progress.TaskID] = {}

    def __call__(self, what: str, done: float, total: int, unit: Unit) -> None:
        """Show how far work is (see `samtailor.progress.Display`)."""
        is_over = 0 < total <= done
        if not world().is_first:
            return
        if is_over and what not in self._tasks:  # told again that it is done
            if unit == "items":
                self.close()  # the bars of what was fetched meanwhile
            return
        if self._progress is None or unit != self._unit or (unit == "items" and what not in self._tasks):
            self._start(unit)
        assert self._progress is not None
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=None)
        self._progress.update(self._tasks[what], completed=done, total=total or None)
        if unit == "items" and is_over:
            self.close()

    def _start(self, unit: Unit) -> None:
        """Show the first bar of a kind."""
        self.close()
        self._unit = unit
        count = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            count,
            progress.TimeRemainingColumn(),
        )
        self._progress = progress.Progress(*columns, console=self._console)
        self._progress.start()

    def close(self) -> None:
        """Leave the screen to others."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()


@dataclass
class _Work:
    """Work that is being done: when it began, how much of it was done then, and when it was last told of."""

    began: float
    done: float
    told: float


class Lines:
    """Tells of long work where there is no terminal: a line a minute, and one at its end.

    Of several processes the first tells of its part.
    """

    def __init__(self) -> None:
        """Tell on the error stream: the output stream is for results.

        Raises:
            ConfigError: If the variable SAMTAILOR_TELL_EVERY is set, and is no number of seconds.
        """
        self._every = told_every()
        self._open: dict[str, _Work] = {}

    def __call__(self, what: str, done: float, total: int, unit: Unit) -> None:
        """Tell how far work is, if that is due (see `samtailor.progress.Display`)."""
        now, is_over = time.monotonic(), 0 < total <= done
        if not world().is_first or (is_over and what not in self._open):
            return  # told again that it is done
        work = self._open.setdefault(what, _Work(now, done, now))
        if now - work.told >= self._every or (is_over and work.told > work.began):
            work.told = now
            amount, of_all = (in_bytes(done), in_bytes(total)) if unit == "bytes" else (f"{int(done)}", f"{total}")
            words = [f"{what}: {amount}" + (f" of {of_all}" if total else "")]
            if is_over:
                words.append(f"in {in_time(now - work.began)}")
            elif total and done > work.done:
                left = (now - work.began) * (total - done) / (done - work.done)
                words += [f"{done / total:.0%}", in_time_left(left)]
            print(*words, sep=", ", file=sys.stderr, flush=True)
        if is_over:
            del self._open[what]


class _Printed(logging.StreamHandler[Any]):
    """Prints what is logged; whatever forbids that is raised, as from `print`, rather than told on another stream."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Raise what is being handled."""
        raise


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What a user can act on in one line; of others Python says where they come from."""
    if issubclass(category, DataWarning):
        return f"warning: {message}\n"
    return _PYTHONS_FORMAT(message, category, filename, lineno, line)


@contextmanager
def shown() -> Iterator[None]:
    """While the block works, its progress is bars or lines, and what it logs stands on the output."""
    log = logging.getLogger("samtailor")
    handler = _Printed(sys.stdout)
    log.addHandler(handler)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO if world().is_first else logging.CRITICAL)
    log.propagate = False
    format_warning = warnings.formatwarning
    warnings.formatwarning = _format_warning
    try:
        with _display() as display, shown_by(display):
            yield
    finally:
        warnings.formatwarning = format_warning
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


@contextmanager
def _display() -> Iterator[Display]:
    """Bars on a terminal, else lines."""
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with closing(Bars(console)) as bars:
            yield bars
    else:
        yield Lines()


def show(result: Any, as_json: bool) -> None:
    """Print what a verb returns: its `str` for people, or plain values, its `to_json` or its fields, as JSON.

    Its `complaint`, if any, goes to the error stream.
    """
    if not as_json:
        if isinstance(result, Table):
            terminal.show([result])
        elif hasattr(result, "blocks"):
            terminal.show(result.blocks())
        else:
            print(result)
        if complaint := getattr(result, "complaint", ""):
            print(complaint, file=sys.stderr)
        return
    plain = result.to_json() if hasattr(result, "to_json") else result
    print(json.dumps(_plain(plain), indent=1, default=str, allow_nan=False))


def _plain(value: Any) -> Any:
    """A value as JSON has it, which knows neither dataclasses nor numbers that are not finite: those are null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
