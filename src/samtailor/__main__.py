"""The command line as a process: signals, streams, and how it ends.

Signals are handled before anything else is imported. A stop is a `KeyboardInterrupt`, wherever it comes from; whatever
a library makes of it on its way up, the process ends with one line and the exit code that shells use.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

SPINS = "1000"
"""Looks that a thread of OpenMP takes for the others before it sleeps, GOMP_SPINCOUNT, unless the user has set it.

libgomp's own 300,000 burn a core that another program needs, also for the thread that is waited for. A training step of
`lite-medsam` (96 pixels, batches of 4, two threads, two cores of an AMD EPYC) took 0.48 s rather than 0.46 on an idle
machine, but 2.1 s rather than 26 beside another program on one of the cores. 1,000 is libgomp's own choice where it
knows of more threads than cores.
"""

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_stopped_by: list[int] = []


def run() -> int:
    """Run the command line of this process.

    Returns:
        Exit code of `samtailor.cli.main`; after a signal 128 and its number, 141 where nobody reads the output.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is imported; processes of ours inherit it
    is_alone = "LOCAL_RANK" not in os.environ  # else torchrun ends it, and waits until it has
    for number in _STOPS if is_alone else _STOPS[:1]:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _stop)
    signal.signal(signal.SIGALRM, _stop)
    sys.unraisablehook = _unraisable
    os.register_at_fork(after_in_child=_leave_to_parent)
    code = 0
    try:
        from samtailor.cli import main

        for stream in (sys.stdout, sys.stderr):  # any name can be shown, also one that the terminal has no letters for
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    except BaseException as error:
        if not _stopped_by or isinstance(error, SystemExit):
            raise
        print("\nsamtailor: interrupted", file=sys.stderr)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in _STOPS:  # everything is done; the interpreter's own end would answer a stop with a traceback
            signal.signal(number, signal.SIG_IGN)
    if code == 128 + signal.SIGPIPE:  # the interpreter would flush once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if _stopped_by or not is_alone:
        # After a stop inside a library's import, the interpreter would kill itself; threads of a process group may
        # outlive the interpreter, which then aborts.
        _leave(_stopped_by[0] if _stopped_by else code - 128)
    return code


def _leave(number: int) -> None:
    """End at once: everything is done."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop at the next line of Python."""
    if number != signal.SIGALRM:
        _stopped_by.append(number)
    raise KeyboardInterrupt


def _unraisable(args: Any) -> None:
    """A stop that came where nothing can be raised (a finaliser, a callback of the interpreter) comes once more."""
    if isinstance(args.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(args)


def _leave_to_parent() -> None:
    """A process that prepares samples is ended by the one that has started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _STOPS[1:]:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(run())
