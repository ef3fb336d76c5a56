"""Parsers made from functions: flags, dotted overrides, YAML files and help texts, without writing any twice."""

from __future__ import annotations

import inspect
import json
import re
from argparse import SUPPRESS, Action
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import docstring_parser
import yaml
from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser, DefaultHelpFormatter

from samtailor.errors import ConfigError, did_you_mean
from samtailor.files import read_yaml
from samtailor.kinds import Steps, StepSetting
from samtailor.recipes import Recipe, RecipeName
from samtailor.recipes.flat import flat_fields, flatten, take_recipe
from samtailor.settings import RARE, WORD, hints_of, is_by_name, refusal

_MUST = object()  # a setting without default


@dataclass(frozen=True)
class Setting:
    """A parameter of a verb, or one that stands beside others on the command line.

    Attributes:
        name: Its name.
        kind: Its type.
        default: Its default; `_MUST` if it has none.
        help: What it is, in a sentence.
        rare: Whether the help lists it behind the usual ones.
        steps: The steps it chooses from, if it is such a setting.
        word: Whether it comes by position although it has a default.
    """

    name: str
    kind: Any
    default: Any
    help: str
    rare: bool = False
    steps: Steps[Any] | None = None
    word: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line, which may be a word that Python keeps for itself: `from_` is --from."""
        return self.name.rstrip("_")

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is _MUST

    @property
    def is_word(self) -> bool:
        """Whether it comes by position."""
        return self.word or (self.is_required and self.name != "out")

    @property
    def usage(self) -> str:
        """How a command line says it."""
        if not self.is_required:
            return f"[{self.name.upper()}]"
        return self.name.upper() if self.is_word else f"--{self.flag} {self.name.upper()}"


@dataclass(frozen=True)
class Call:
    """A verb with its settings, ready to be called.

    Attributes:
        verb: The function.
        settings: Its keyword arguments.
        as_json: Whether the result is printed as JSON.
        devices: Processes on this machine that share the work.
    """

    verb: Callable[..., Any]
    settings: dict[str, Any]
    as_json: bool = False
    devices: int = 1

    def __call__(self) -> Any:
        """What the verb returns."""
        return self.verb(**self.settings)


class VerbParser:
    """The command line of one verb.

    Parameters without default come by position, but for `out`, and those that are marked so; the others are flags. A
    recipe's own settings are flags beside `--recipe`. Settings dataclasses are dotted flags.

    Attributes:
        summary: What the verb does, in a sentence.
    """

    def __init__(self, name: str, verb: Callable[..., Any], shares_work: bool = False) -> None:
        """Read a verb; `shares_work` if several processes can share its work."""
        self.name = name
        self.verb = verb
        self.shares_work = shares_work
        self._documentation = docstring_parser.parse(inspect.getdoc(verb) or "")
        self.summary = " ".join((self._documentation.short_description or "").split())
        self.settings = list(_settings_of(verb, self._documentation))
        self.required = sorted((s for s in self.settings if s.is_required), key=lambda setting: not setting.is_word)

    def parse(self, arguments: Sequence[str]) -> Call:
        """The verb with the settings of a command line, which count more than the config file wherever they stand."""
        parser = self.parser()
        actions = parser._option_string_actions  # by flag; argparse has no public name for them
        try:
            given = _joined(_in_order(arguments, actions), [s for s in self.settings if is_by_name(s.kind)])
            found = parser.instantiate(parser.parse_args(_config_first(given, partial(self._checked, actions))))
        except ArgumentError as error:
            raise ConfigError(f"{self._in_our_words(str(error))}; see {parser.prog} --help") from error
        if missing := [s.usage for s in self.required if s.flag not in found]:
            raise ConfigError(f"the following arguments are required: {', '.join(missing)}; see {parser.prog} --help")
        names = {s.flag: s.name for s in self.settings}
        others = ("config", "json", "devices")
        values = {names.get(key, key): value for key, value in vars(found).items() if key not in others}
        if any(s.kind is Recipe for s in self.settings):
            values["recipe"] = take_recipe(values)
        for setting in self.settings:
            if setting.steps:
                values[setting.name] = _take_steps(values, setting.name, setting.steps)
        return Call(self.verb, values, found.json, found.get("devices", 1))

    def _checked(self, flags: Iterable[str], file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
        """What a config file says, its names spelt as those of flags, and one value of a list as a list.

        A setting of a group or of a step may stand on a line of its own, by its flag: `optim.lr: 0.1`.

        Raises:
            ConfigError: If it has an unknown name, or a value where settings by name belong.
        """
        known = {flag.removeprefix("--") for flag in flags} | {setting.flag for setting in self.settings}
        groups = {s.flag for s in self.settings if is_dataclass(s.kind) and s.kind is not Recipe}
        of_steps = {
            f"{s.flag}.{one.flag}": _destination(s.name, one)
            for s in self.settings
            for one in (s.steps.settings() if s.steps else ())
        }
        lists = {s.flag for s in self.settings if _element(s.kind) and not s.steps}
        found: dict[str, Any] = {}
        for name, value in content.items():
            key = _named(file, name, {*known, *(flag.partition(".")[0] for flag in known)})
            group, dot, own = key.partition(".")
            if key in of_steps:
                key = of_steps[key]
            elif dot and group in groups:
                key, value = group, {**found.get(group, {}), own: value}
            elif key in groups:
                if not isinstance(value, dict):
                    what = "nothing" if value is None else f"{value!r:.80}"
                    fix = "write each on a line of its own below it, or leave it out"
                    raise ConfigError(f"{file}: {key}: expected settings by name, found {what}; {fix}")
                inside = {flag.partition(".")[2] for flag in known if flag.startswith(f"{key}.")}
                value = {_named(file, str(one), inside, f" in {key}"): setting for one, setting in value.items()}
                value = {**found.get(key, {}), **value}
            found[key] = [value] if key in lists and isinstance(value, str | int | float) else value
        return found

    def _in_our_words(self, error: str) -> str:
        """What jsonargparse says of a value of another type, as `settings.require` would say it."""
        told = re.match(r'Parser key "([\w.:-]+)".*(?:Got|Given) value: ([^\n]*)', error, re.DOTALL)
        if not told:
            return error
        hints = {name: hints_of(owners[0][0])[name] for name, owners in flat_fields().items()}
        hints |= {setting.flag: hints_of(self.verb)[setting.name] for setting in self.settings} | {"recipe": RecipeName}
        for setting in self.settings:
            for one in setting.steps.settings() if setting.steps else ():
                hints[_destination(setting.name, one)] = _hint_of(one, cast(Any, setting.steps))
        hint: Any = None
        for name in told[1].split("."):
            hint = hints.get(name)
            hints = hints_of(hint) if is_dataclass(hint) else {}
        return refusal(told[1].replace(":", "."), hint, told[2]) if hint else error

    def parser(self) -> ArgumentParser:
        """The parser that reads the command line and writes the help."""
        optional = [s for s in self.settings if s.is_word and not s.is_required]
        parser = ArgumentParser(
            prog=f"samtailor {self.name}",
            usage=" ".join([f"samtailor {self.name}", *(s.usage for s in (*self.required, *optional)), "[options]"]),
            description=self.summary,
            epilog=self._documentation.long_description,
            exit_on_error=False,
            allow_abbrev=False,
            formatter_class=HelpFormatter,
        )
        usual = parser
        rare = parser.add_argument_group("rarely used")
        for setting in self.settings:
            group = rare if setting.rare else usual
            if setting.kind is Recipe:
                _add_recipe(usual, rare, setting)
            elif setting.steps:
                _add_steps(parser, group, setting, setting.steps)
            elif is_dataclass(setting.kind):
                parser.add_class_arguments(setting.kind, setting.name)
            elif setting.is_word:
                # Optional for argparse, because words may come from the config; `parse` asks for what is missing.
                nargs, kind = ("*", many) if (many := _element(setting.kind)) else ("?", setting.kind)
                more: dict[str, Any] = {"default": SUPPRESS, "metavar": setting.name.upper(), "help": setting.help}
                parser.add_argument(setting.name, nargs=nargs, type=kind, **more)
            else:
                _add_flag(group, setting)
        for flag in [flag for flag in parser._option_string_actions if flag.endswith("+")]:
            action = parser._option_string_actions.pop(flag)  # jsonargparse's: appends to a list
            action.option_strings = [name for name in action.option_strings if name != flag]
        if self.shares_work:
            text = "Processes on this machine, each with a GPU of its own if there are any (see docs/distributed.md)."
            _add_flag(usual, Setting("devices", int, 1, text))
        rare.add_argument("--json", action="store_true", help="Print the result as JSON.")
        text = "YAML file with any of the settings; what the command line says overrides it."
        parser.add_argument("--config", action="config", help=text)
        return parser


def _settings_of(verb: Callable[..., Any], documentation: docstring_parser.Docstring) -> Iterator[Setting]:
    """The parameters of a verb."""
    helps = {parameter.arg_name: parameter.description or "" for parameter in documentation.params}
    kinds = hints_of(verb)
    for parameter in inspect.signature(verb).parameters.values():
        kind = kinds[parameter.name]
        marks = list(_marks(kind))
        steps = next((mark for mark in marks if isinstance(mark, Steps)), None)
        default = _MUST if parameter.default is parameter.empty else parameter.default
        text = helps.get(parameter.name, "")
        yield Setting(parameter.name, _unmarked(kind), default, text, RARE in marks, steps, WORD in marks)


def _marks(kind: Any) -> Iterator[Any]:
    """The marks of a type, and of those it is made of."""
    if get_origin(kind) is Annotated:
        yield from kind.__metadata__
    if get_origin(kind) is not Literal:
        for part in get_args(kind):
            yield from _marks(part)


def _unmarked(kind: Any) -> Any:
    """A type without marks and ranges anywhere in it: the verb holds its settings to their ranges itself."""
    if get_origin(kind) is Annotated:
        return _unmarked(get_args(kind)[0])
    if not (parts := get_args(kind)) or get_origin(kind) is Literal:
        return kind
    parts = tuple(_unmarked(part) for part in parts)
    return reduce(or_, parts) if get_origin(kind) in (Union, UnionType) else get_origin(kind)[parts]


def _add_flag(group: Any, setting: Setting) -> None:
    """A flag; a switch where the default is False; several words behind it where it takes a list."""
    many = _element(setting.kind)
    if setting.default is False:
        how: dict[str, Any] = {"action": ActionYesNo, "default": False}
    elif many:  # --names A B, where jsonargparse alone would want --names '[A, B]'
        how = {"nargs": "+", "type": many, "default": None if setting.default is None else list(setting.default)}
    else:
        how = {"metavar": "NAME=X"} if is_by_name(setting.kind) else {}
        how |= {"type": setting.kind, "default": SUPPRESS if setting.default is _MUST else setting.default}
    short = ["-o"] if setting.flag == "out" else []
    group.add_argument(*short, f"--{setting.flag}", help=setting.help, **how)


def _add_recipe(usual: Any, rare: Any, setting: Setting) -> None:
    """--recipe and the settings of all recipes; each recipe takes its own."""
    chosen = flatten(setting.default)
    usual.add_argument("--recipe", type=RecipeName, default=chosen["recipe"], help=setting.help)
    for name, owners in flat_fields().items():
        kind, own = owners[0]
        helps = {p.arg_name: p.description for p in docstring_parser.parse(kind.__doc__ or "").params}
        default = chosen.get(name, own.default)
        group = usual if name == "rank" else rare
        _add_flag(group, Setting(name, _unmarked(hints_of(kind)[name]), default, helps.get(name) or ""))


def _add_steps(parser: Any, group: Any, setting: Setting, steps: Steps[Any]) -> None:
    """A flag that names steps, and behind the usual flags those of the steps."""
    default = setting.default or None
    group.add_argument(f"--{setting.flag}", type=Any, default=default, metavar="STEPS", help=setting.help)
    own = parser.add_argument_group(f"settings of the steps that --{setting.flag} names")
    for one in steps.settings():
        kind = _unmarked(_hint_of(one, steps))
        metavar = None if get_origin(kind) is Literal or kind is bool else one.flag.rpartition(".")[2].upper()
        how = {"type": kind, "default": SUPPRESS, "dest": _destination(setting.name, one), "help": _help_of(one, steps)}
        how |= {} if metavar is None else {"metavar": metavar}
        own.add_argument(f"--{setting.flag}.{one.flag}", **how)


def _hint_of(setting: StepSetting, steps: Steps[Any]) -> Any:
    """The type of a setting of steps: what any of them takes."""
    return reduce(or_, (hints_of(steps.kinds[name])[field.name] for name, field in setting.owners.items()))


def _destination(name: str, setting: StepSetting) -> str:
    """Where a parser keeps a step's setting: jsonargparse would take dots for parts of one that is no text then."""
    return f"{name}:{setting.flag.replace('.', ':')}"


def _help_of(setting: StepSetting, steps: Steps[Any]) -> str:
    """What a setting of steps is, in a sentence for each step where they differ, with the default."""
    told: dict[str, list[str]] = {}
    for name, field in setting.owners.items():
        documented = (docstring_parser.parse(kind.__doc__ or "").params for kind in inspect.getmro(steps.kinds[name]))
        text = next((p.description or "" for params in documented for p in params if p.arg_name == field.name), "")
        told.setdefault(f"{text} (default: {field.default})", []).append(name)
    if steps.nested:
        return next(iter(told))
    return " ".join(f"{', '.join(names)}: {text}" for text, names in told.items())


def _take_steps(values: dict[str, Any], name: str, steps: Steps[Any]) -> Any:
    """Take the settings of steps out of those of a verb, and give them to the steps that it chooses."""
    own = {one.flag: values.pop(key) for one in steps.settings() if (key := _destination(name, one)) in values}
    chosen = values[name]
    return steps.chosen("none" if chosen is None else chosen, own) if own else chosen


def _element(kind: Any) -> Any:
    """What a list or sequence holds, also one that may be None; None for every other type."""
    for part in (kind, *get_args(kind)):
        origin = get_origin(part)
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return get_args(part)[0]
    return None


def _in_order(arguments: Sequence[str], actions: Mapping[str, Action]) -> list[str]:
    """The same arguments, words before flags: argparse wants words that lie apart from each other in one place.

    Flags are spelt as they are here: --batch-size and --batch_size are one.

    Raises:
        ArgumentError: If there is no such flag.
    """
    spelling = {_plain_flag(flag): flag for flag in actions}
    words: list[str] = []
    flags: list[str] = []
    rest = deque(arguments)
    while rest:
        argument = rest.popleft()
        if argument == "--":
            return [*flags, "--", *words, *rest]
        if not _is_flag(argument):
            words.append(argument)
            continue
        name, equals, value = argument.partition("=")
        name = spelling.get(_plain_flag(name), name)
        if name.startswith("--") and name not in actions:
            raise ArgumentError(None, f"unrecognized arguments: {name}{_flag_meant(name, actions)}")
        flags.append(f"{name}{equals}{value}")
        nargs = actions[name].nargs if name in actions and not equals else 0
        most = nargs if isinstance(nargs, int) else 1 if nargs in (None, "?") else len(rest)
        while rest and most and not _is_flag(rest[0]):
            flags.append(rest.popleft())
            most -= 1
    return [*words, *flags]


def _joined(arguments: Sequence[str], settings: Iterable[Setting]) -> list[str]:
    """The same arguments with each setting that has values by name, --threshold a=0.5 --threshold b=0.7, in one.

    Raises:
        ArgumentError: If a value has no name.
    """
    rest = deque(arguments)
    others: list[str] = []
    values: dict[str, dict[str, Any]] = {f"--{setting.flag}": {} for setting in settings}
    while rest:
        argument = rest.popleft()
        flag, equals, value = argument.partition("=")
        if flag not in values or not (equals or rest):
            others.append(argument)
            continue
        name, equals, number = (value if equals else rest.popleft()).rpartition("=")
        if not equals:
            raise ArgumentError(None, f"{flag}: expected NAME=X, found {number}")
        try:
            values[flag][name] = float(number)
        except ValueError:  # it is refused with all else that is wrong
            values[flag][name] = number
    found = [word for flag, by_name in values.items() if by_name for word in (flag, json.dumps(by_name))]
    return [*found, *others]


def _is_flag(argument: str) -> bool:
    """Whether argparse takes an argument for a flag."""
    return argument[:1] == "-" and argument != "-" and " " not in argument.partition("=")[0]


def _plain_flag(flag: str) -> str:
    """A flag whose parts are joined by dashes."""
    return flag.replace("_", "-")


def _flag_meant(word: str, flags: Iterable[str]) -> str:
    """A question for the flag that was meant; a setting in a group is found by its own name, too."""
    in_groups = {f"--{flag.rpartition('.')[2]}": flag for flag in flags if "." in flag}
    return did_you_mean(f"--{word[2:].replace('-', '_')}", [*in_groups, *flags], in_groups)


def _named(file: Path, name: str, known: Collection[str], group: str = "") -> str:
    """A name in a config file as its flag is spelt; refused with the one that was meant if there is none."""
    if (spelt := name.replace("-", "_")) in known or name in known:
        return name if name in known else spelt
    raise ConfigError(f"{file}: expected names of settings, found '{name}'{group}{did_you_mean(spelt, known)}")


class _Quoting(yaml.SafeDumper):
    """Writes texts in quotes: jsonargparse takes some for numbers that PyYAML does not, such as 1e-3."""


_Quoting.add_representer(str, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _config_first(arguments: Sequence[str], checked: Callable[[Path, Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """The same arguments with the config files in front, because jsonargparse lets the later one win.

    What is in a file stands there in its place, `checked`: jsonargparse would read it by the locale.
    """
    configs: list[str] = []
    others: list[str] = []
    is_file = False  # whether the argument is the file that --config names
    for argument in arguments:
        if is_file or argument.startswith("--config="):
            file = Path(argument.removeprefix("" if is_file else "--config="))
            content = checked(file, read_yaml(file, "give --config a YAML file with settings"))
            configs += ["--config", yaml.dump(content, Dumper=_Quoting)]
        elif argument != "--config":
            others.append(argument)
        is_file = argument == "--config" and not is_file
    if is_file:
        raise ConfigError("--config: expected a YAML file behind it, found nothing")
    return configs + others


def is_hidden(action: Action) -> bool:
    """Whether a flag is one that jsonargparse adds for each group of settings: `--config` does what they do."""
    return action.help == "Path to a configuration file."


class HelpFormatter(DefaultHelpFormatter):
    """Help in the words of the terminal: defaults where they tell something, but no types of Python."""

    def add_argument(self, action: Action) -> None:
        """Leave out the hidden ones."""
        if not is_hidden(action):
            super().add_argument(action)

    def _get_help_string(self, action: Action) -> str:
        """The text behind a flag; argparse's own hook."""
        text = action.help or ""
        default = action.default
        if not action.option_strings or default is None or default is False or default in (SUPPRESS, [], ()):
            return text[:1].upper() + text[1:]
        return f"{text} (default: %(default)s)"

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        """What stands for the value of a flag; argparse's own hook."""
        numbers = {"int": "N", "float": "X"}
        kind = (self._get_type_str(action) or "").removesuffix(" | null")
        return numbers.get(kind, super()._get_default_metavar_for_optional(action))
