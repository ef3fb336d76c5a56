"""Completion of verbs, flags, choices and paths in a shell, made from the verbs' own parsers."""

from __future__ import annotations

from argparse import SUPPRESS, Action
from pathlib import Path
from typing import Any, Literal, get_args

from samtailor.settings import checked, choices_of

Shell = Literal["bash", "zsh", "fish"]


@checked
def completion(shell: Shell) -> str:
    """Write the script by which a shell completes verbs, flags, choices and paths.

    It needs no Python when it completes, so it is written anew after an update. It goes to
    ~/.local/share/bash-completion/completions/samtailor, for zsh to the file _samtailor in a folder of $fpath, for fish
    to ~/.config/fish/completions/samtailor.fish.

    Args:
        shell: The shell: bash, zsh or fish.

    Returns:
        The script.
    """
    import shtab
    from jsonargparse import ArgumentParser

    from samtailor.cli import COMMANDS, parser_of
    from samtailor.cli.parsing import HelpFormatter

    whole = ArgumentParser(prog="samtailor", formatter_class=HelpFormatter)
    verbs = whole.add_subcommands()
    for name in COMMANDS:
        verb = parser_of(name)
        parser = verb.parser()
        for action in parser._actions:
            _complete(action)
        verbs.add_subcommand(name, parser, help=verb.summary)
    return str(shtab.complete(whole, shell))


def _complete(action: Action) -> None:
    """Say what completes the value of a flag, or a word: the choices of its type, or paths."""
    import shtab

    from samtailor.cli.parsing import is_hidden

    hint: Any = getattr(action, "_typehint", None)  # jsonargparse's; it has no public name for it
    if is_hidden(action):
        action.help = SUPPRESS
    elif hint is bool:
        action.choices = ("true", "false")
    elif choices := choices_of(hint):
        action.choices = choices
    elif Path in get_args(hint) or action.dest == "config":
        action.complete = shtab.FILE  # type: ignore[attr-defined]
