"""The command line: a verb is a public function; its signature makes the flags, its docstring the help.

Nothing heavy is imported before a verb runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from inspect import getdoc
from typing import TYPE_CHECKING, Any

import samtailor
from samtailor.distributed.world import world
from samtailor.errors import ConfigError, SamTailorError, SharedError, not_one_of

if TYPE_CHECKING:
    from samtailor.cli.parsing import VerbParser

COMMANDS = {**samtailor.VERBS, "completion": "cli.completion.completion"}
"""The public functions that are verbs, and what there is for the command line only; each is read in the same way."""

FAILED = 2
"""Exit code where the user has to fix something and nothing was done."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""

SHARED = ("train", "resume", "predict")
"""Verbs whose work several processes can share."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: What follows 'samtailor'; that of the process if None.

    Returns:
        0: done. 1: done, but for the inputs that are listed. 2: something has to be fixed, nothing was done.
        130: interrupted.
    """
    try:
        os.getcwd()
    except OSError as error:
        found = f"found none ({error.strerror}); cd to another"
        print(f"samtailor: error: expected a working directory, {found}", file=sys.stderr)
        return FAILED
    match list(sys.argv[1:] if arguments is None else arguments):
        case [] | ["-h" | "--help" | "help"] | ["-h" | "--help" | "help", "-h" | "--help" | "help", *_]:
            print(_overview())
        case ["help" | "--help" | "-h", name, *_]:
            return main([name, "--help"])
        case ["--version", *_]:
            print(f"samtailor {samtailor.__version__}")
        case ["train", *rest] if any(word.split("=")[0] == "--resume" for word in rest):
            return _run("resume", _as_resume(rest))
        case [name, *rest] if (verb := name.replace("_", "-")) in COMMANDS:
            return _run(verb, rest)
        case [name, *_]:
            print(f"samtailor: error: {not_one_of(COMMANDS, name)}; see samtailor help", file=sys.stderr)
            return FAILED
    return 0


def parser_of(name: str) -> VerbParser:
    """Parser of a verb."""
    from samtailor.cli.parsing import VerbParser

    return VerbParser(name, _function_of(name), name in SHARED)


def _function_of(name: str) -> Any:
    """The public function that a verb is."""
    module, _, function = COMMANDS[name].rpartition(".")
    return getattr(import_module(f"samtailor.{module}"), function)


def _summary_of(name: str) -> str:
    """What a verb does: the first line of its documentation."""
    return (getdoc(_function_of(name)) or "").partition("\n")[0]


def _run(name: str, arguments: list[str]) -> int:
    """Run a verb, print what it returns, and translate its errors into messages and exit codes."""
    from samtailor.distributed.launch import launch, must_launch

    try:
        if sys.flags.optimize > 1:
            raise ConfigError(
                "expected Python to keep docstrings, found -OO (or PYTHONOPTIMIZE=2), under which transformers cannot "
                "be imported; run it with -O, or without"
            )
        call = parser_of(name).parse(arguments)
        if name in SHARED and must_launch(call.devices):
            return launch(call.devices, [name, *arguments])
        if name not in SHARED and (here := world()).size > 1:
            found = f"found {here.size} of {here.launcher}; only {', '.join(SHARED)} share work"
            raise ConfigError(f"expected one process, {found}")
        from samtailor.cli.screen import show, shown

        with shown():
            result = call()
        if world().is_first:
            show(result, call.as_json)
        return int(getattr(result, "exit_code", 0))
    except SamTailorError as error:
        if world().is_first or not isinstance(error, SharedError):
            print(f"samtailor {name}: error: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever calls knows what to do where nobody reads on
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if (lack := _lack(error)) is None:
            raise
        print(f"samtailor {name}: error: {lack}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as interrupt:
        hint = f": {interrupt}" if interrupt.args else ""
        print(f"\nsamtailor {name}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED


def _lack(error: Exception) -> str | None:
    """What the machine could not give, in a sentence; None if the error is no such thing."""
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}; free some space, or see to it that the place can be read and written"
    signs = ("can't allocate memory", "bad_alloc", "out of memory")  # torch's words for it
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in signs):
        return (
            "not enough memory; smaller batches, images (--sampling.image_size) or files take less, and samtailor "
            "estimate tells how much a training takes"
        )
    return None


def _as_resume(arguments: list[str]) -> list[str]:
    """`train --resume RUN` in the words of the verb resume."""
    place = next(i for i, argument in enumerate(arguments) if argument.split("=")[0] == "--resume")
    run = arguments[place].split("=", 1)[1:]
    return [*arguments[:place], *run, *arguments[place + 1 :]]


def _overview() -> str:
    """Help of the command line as a whole, as wide as the terminal."""
    width, column = shutil.get_terminal_size().columns, max(map(len, COMMANDS)) + 4
    told = "Fit Segment Anything models to your own classes: a labelled folder in, a segmenter and masks out."
    end = "samtailor help VERB tells more; samtailor --version tells the version."
    verbs = "\n".join(
        textwrap.fill(f"{f'  {name}':<{column}}{_summary_of(name)}", width, subsequent_indent=" " * column)
        for name in COMMANDS
    )
    return "\n\n".join(
        ["usage: samtailor VERB [options]", textwrap.fill(told, width), verbs, textwrap.fill(end, width)]
    )
