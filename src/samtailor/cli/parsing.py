"""Parsers made from dataclasses: flags, dotted overrides, YAML files and help texts, without writing any twice."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser

from samtailor.errors import ConfigError

Settings = TypeVar("Settings")


def make_parser(verb: str, summary: str, settings: type[Any], words: tuple[str, ...], note: str) -> ArgumentParser:
    """Parser of a verb.

    Args:
        verb: What the user types after 'samtailor'.
        summary: What the verb does.
        settings: Dataclass of the verb's settings; its docstring gives the help texts.
        words: Fields that are given by position; the others are flags.
        note: Text below the help.
    """
    docstrings = [docstring_parser.parse(kind.__doc__ or "") for kind in reversed(settings.__mro__[:-1])]
    helps = {parameter.arg_name: parameter.description for docstring in docstrings for parameter in docstring.params}
    types = get_type_hints(settings)
    required = [f"--{field.name} {field.name.upper()}" for field in _required(settings) if field.name not in words]
    parser = ArgumentParser(
        prog=f"samtailor {verb}",
        usage=" ".join([f"samtailor {verb}", *(word.upper() for word in words), *required, "[options]"]),
        description=summary,
        epilog=note,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the settings; the command line comes before it."
    )
    for word in words:
        # Words are optional for argparse, because they may come from the config; `parse` asks for what is missing.
        many = get_origin(types[word]) is list
        nargs, kind = ("*", str) if many else ("?", types[word])
        parser.add_argument(word, nargs=nargs, type=kind, default=SUPPRESS, metavar=word.upper(), help=helps[word])
    switches = [field.name for field in fields(settings) if field.default is False]
    lists = {name: kind for name in types if name not in words and (kind := _element(types[name]))}
    parser.add_class_arguments(settings, skip={*words, *switches, *lists}, as_group=False)
    for field in fields(settings):
        if field.name in lists:  # --names A B, where jsonargparse alone would want --names '[A, B]'
            default = field.default if field.default_factory is MISSING else field.default_factory()
            kind, text = lists[field.name], helps[field.name]
            parser.add_argument(f"--{field.name}", nargs="+", type=kind, default=default, help=text)
    for switch in switches:
        parser.add_argument(f"--{switch}", action=ActionYesNo, default=False, help=helps[switch])
    return parser


def parse(parser: ArgumentParser, settings: type[Settings], arguments: Sequence[str]) -> Settings:
    """Settings of a command line.

    Args:
        parser: What `make_parser` gave for these settings.
        settings: Dataclass of the settings.
        arguments: Words and flags; a flag counts more than the config file wherever it stands.

    Raises:
        ConfigError: If a flag or a key of the config file is unknown, missing, or of another type.
    """
    try:
        found = parser.instantiate(parser.parse_args(_config_first(arguments)))
    except ArgumentError as error:
        raise ConfigError(f"{error}; see {parser.prog} --help") from error
    missing = [field.name for field in _required(settings) if field.name not in found]
    if missing:
        raise ConfigError(f"the following arguments are required: {', '.join(missing)}; see {parser.prog} --help")
    return settings(**{field.name: found[field.name] for field in fields(settings)})  # type: ignore[arg-type]


def _element(kind: Any) -> Any:
    """What a list holds, also one that may be None; None for every other type."""
    for part in (kind, *get_args(kind)):
        if get_origin(part) is list:
            return get_args(part)[0]
    return None


def _required(settings: type[Any]) -> list[Field[Any]]:
    """Fields without default."""
    return [field for field in fields(settings) if field.default is MISSING and field.default_factory is MISSING]


def _config_first(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the config files in front, because jsonargparse lets the later one win."""
    configs: list[str] = []
    others: list[str] = []
    is_file = False  # whether the argument is the file that --config names
    for argument in arguments:
        is_config = is_file or argument == "--config" or argument.startswith("--config=")
        (configs if is_config else others).append(argument)
        is_file = argument == "--config" and not is_file
    if is_file:
        raise ConfigError("--config: expected a YAML file behind it, found nothing")
    return configs + others
