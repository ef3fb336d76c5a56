"""What the public functions' settings have in common; light, for the command line reads it before anything else."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import os
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from samtailor.errors import ConfigError, did_you_mean
from samtailor.kinds import Steps

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

_MOST_SHOWN = 80  # characters of a value in a message
AnyPath = str | Path
Split = Literal["train", "val", "test"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16", "16"]
"""In which a network computes; 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere."""

Flip = Literal["none", "columns", "both"]
"""Axes of a slice that are flipped."""
TestTimeFlip = Literal["none", "auto", "columns", "both"]
"""Flips that are averaged over in prediction; 'auto' is those of the training."""

WindowChoice = Literal["auto", "whole", "training"]
"""What the network sees at once of a picture: by its size, all of it, or squares as large as in training."""

ClassBias = Literal["saved", "none"]
"""Whether the offsets of the class logits are added that a segmenter has saved."""

Recognition = Literal["auto", "none"]
"""Whether a data set may be taken for one that is known by name."""

PolygonKind = Literal["gpkg", "geojson"]
LabelKind = Literal["auto", "nifti", "png", "geotiff", "seg", "rtstruct", "mha", "nrrd", "seg.nrrd"]
"""Kinds of label files by the names that the formats have for them (`label_suffixes`); 'auto' is each format's own."""

RARE = "rarely used"
Rare = Annotated[T, RARE]
"""A setting that the help of the command line lists behind the usual ones."""

WORD = "by position"
Word = Annotated[T, WORD]
"""A setting that comes by position on the command line although it has a default."""


@dataclass(frozen=True)
class Within:
    """The finite numbers that a setting may be, as part of its type: `Annotated[int, Within(1, 100)]`.

    Attributes:
        least: The smallest; None if there is none.
        most: The largest; None if there is none.
        above: Whether `least` itself is too small.
    """

    least: float | None = None
    most: float | None = None
    above: bool = False

    def __contains__(self, number: float) -> bool:
        try:
            is_finite = math.isfinite(number)
        except OverflowError:  # a whole number that no float holds
            return False
        if not is_finite or (self.most is not None and number > self.most):
            return False
        return self.least is None or number > self.least or (number == self.least and not self.above)

    def __str__(self) -> str:
        most = "" if self.most is None else f"{self.most:.10g}"
        if self.least is None:
            return f"of at most {most}" if most else "that is finite"
        if self.above:
            return f"above {self.least:.10g}" + (f" and at most {most}" if most else "")
        return f"from {self.least:.10g} to {most}" if most else f"of at least {self.least:.10g}"


# The upper ends are far beyond what anybody wants, and below what overflows, or takes the machine down.
Count = Annotated[int, Within(1, 1_000_000)]
Index = Annotated[int, Within(0, 1_000_000)]
Folds = Annotated[int, Within(2, 1000)]
"""Folds of a cross-validation."""
Seed = Annotated[int, Within(0, 2**32 - 1)]
"""What NumPy, torch and Lightning all take."""
Side = Annotated[int, Within(8, 8192)]
"""Pixels along a side of a square that a network sees."""
Workers = Annotated[int, Within(0, 1024)]
Resamples = Annotated[int, Within(1, 100_000)]
"""Resamples of a bootstrap; all of them are in memory at once."""
Severity = Annotated[int, Within(1, 5)]
"""How severe the damage of a corruption is."""
Fraction = Annotated[float, Within(0, 1)]
Thresholds = Mapping[str, Fraction]
"""Least probabilities, by the name of the class."""
Weight = Annotated[float, Within(0)]
Finite = Annotated[float, Within()]


@dataclass(frozen=True)  # for jsonargparse, a dataclass is one only if its bases are
class Checked:
    """Settings that are held to their types, ranges included, wherever they come from.

    Attributes:
        prefix: What stands before their names on the command line and in messages.
    """

    prefix: ClassVar[str] = ""

    def __init_subclass__(cls, group: str | None = None) -> None:
        if group is not None:
            cls.prefix = f"{group}."

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        require(values, hints_of(type(self)), self.prefix)
        for name, value in values.items():
            object.__setattr__(self, name, _of_python(value))


def _of_python(value: Any) -> Any:
    """A value whose numbers are Python's own, which YAML and JSON know, in place of NumPy's."""
    if type(value) in (list, tuple):
        return type(value)(map(_of_python, value))
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def as_text(settings: Any, *paths: str) -> None:
    """Make paths of frozen settings plain values, whatever kind of path was given."""
    for name in paths:
        value = getattr(settings, name)
        object.__setattr__(settings, name, None if value is None else str(_at_home(value)))


def _at_home(value: Any) -> Any:
    """A path, or several, from `~` on as a shell has it, which looks into no files of settings."""
    if type(value) in (list, tuple):
        return type(value)(map(_at_home, value))
    is_path = isinstance(value, str | Path) and Path(value).parts[:1] == ("~",)
    return type(value)(os.path.expanduser(value)) if is_path else value


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Hold the arguments of a function to their types, ranges included, before it does anything."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        require(bound.arguments, hints_of(function))
        return function(*map(_at_home, bound.args), **{name: _at_home(value) for name, value in bound.kwargs.items()})

    return call


def require(values: Mapping[str, Any], hints: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse the first value that is not of its type; names without a type may be anything.

    Raises:
        ConfigError: Naming the setting, what was expected and what was found.
    """
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(refusal(f"{prefix}{name}", hints[name], _shown(value)))


def refusal(name: str, hint: Any, found: str) -> str:
    """What is told of a setting that is not of its type, with the choice that was meant, if it is like one."""
    return f"{name}: expected {in_words(hint)}; found {found}{did_you_mean(found.strip(chr(39)), choices_of(hint))}"


def choices_of(hint: Any) -> list[str]:
    """The texts that a type has to choose from."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    return [choice for part in get_args(hint) for choice in choices_of(part)]


def hints_of(source: Any) -> dict[str, Any]:
    """Types, ranges included, of the fields of a dataclass, or of the parameters of a function."""
    return _hints_of(source)


@functools.cache
def _hints_of(source: Any) -> dict[str, Any]:
    source = inspect.unwrap(getattr(source, "__settings__", source))
    if isinstance(source, type):
        return get_type_hints(source, include_extras=True)
    # What a function returns may be imported for type checkers only.
    annotations = {name: hint for name, hint in source.__annotations__.items() if name != "return"}
    return get_type_hints(types.SimpleNamespace(__annotations__=annotations), source.__globals__, include_extras=True)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; types that are not known here are not judged."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, parts[0]) and all(value in limit for limit in parts[1:] if isinstance(limit, Within))
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str | int) and not isinstance(value, bool) and value in parts
    if origin is tuple and parts[-1] is not Ellipsis:
        return isinstance(value, tuple | list) and len(value) == len(parts) and all(map(_fits, value, parts))
    if is_by_name(hint):
        return isinstance(value, Mapping) and all(_fits(item, parts[1]) for item in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        is_many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return is_many and all(_fits(item, parts[0]) for item in value)
    if hint is int or hint is float:
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if hint is str or hint is Path:
        return isinstance(value, hint) and "\0" not in str(value)
    return isinstance(value, hint) if isinstance(hint, type) and hint is not Any else True


def is_by_name(hint: Any) -> bool:
    """Whether a type has values by name, or is None."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return any(get_origin(kind) is Mapping for kind in kinds)


def in_words(hint: Any) -> str:
    """A type as a message tells it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for mark in parts[1:]:
            if isinstance(mark, Steps):
                return str(mark)
        limits = [str(limit) for limit in parts[1:] if isinstance(limit, Within)]
        return " ".join([in_words(parts[0]), *limits])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(part) for part in parts if part is not type(None)))
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}" if len(parts) > 1 else f"'{parts[0]}'"
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"({', '.join(map(in_words, parts))})"
    if is_by_name(hint):
        return f"by name {in_words(parts[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list, each {in_words(parts[0])}"
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a path",
        Mapping: "settings by name",
    }
    return words.get(hint) or f"a {getattr(hint, '__name__', hint)}"


def by_dotted_name(settings: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Plain settings, as `to_plain` gives them, with those in groups by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from by_dotted_name(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def _shown(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of too many digits"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


class Selection(NamedTuple):
    """What is taken of a labelled folder.

    Attributes:
        fold: Entry of its split file, or of the usual five folds where it has none; None takes its own splits.
        dataset: Whether it may be taken for a data set that is known by name.
        bands: Bands of pictures that are used, by number or name and joined by commas, or 'all'; None takes what
            dataset.json says.
        folds: How many folds there are to be, where a fold is taken; None takes as many as there are.
    """

    fold: int | None = None
    dataset: Recognition = "auto"
    bands: str | None = None
    folds: int | None = None


WHOLE = Selection()
"""Everything, as the folder says."""

IntensityName = Literal["auto", "window", "percentile", "range"]


@dataclass(frozen=True)
class IntensityConfig(Checked, group="intensity"):
    """How file intensities become [0, 1].

    Attributes:
        kind: 'window', 'range' or 'percentile'; 'auto' takes the CT window for channels called CT, the full range for
            8-bit pictures, percentiles of each channel for everything else (the colours of a picture share theirs); a
            list has a kind for each channel.
        values: Level and width of the window, or low and high of range or percentile; by default the kind's;
            a list has a pair for each channel.
    """

    kind: IntensityName | list[IntensityName] = "auto"
    values: tuple[Finite, Finite] | list[tuple[Finite, Finite]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.values, list) and self.values:  # in Python a pair may be a list too
            pairs = [tuple(pair) if isinstance(pair, list | tuple) else pair for pair in self.values]
            object.__setattr__(self, "values", pairs if isinstance(pairs[0], tuple) else tuple(pairs))


def takes(settings: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Make a function of settings one of keyword arguments: those of the settings' dataclass, with its documentation.

    For verbs whose settings are kept (in a run's config.yaml) or shared by several: they are listed once, in the
    dataclass.

    Args:
        settings: The dataclass; its 'Attributes' become the function's 'Args'.
    """

    def decorate(function: Callable[[S], R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(settings(*args, **kwargs))

        call.__doc__ = _documented(function, settings)
        call.__signature__ = inspect.signature(settings, eval_str=False)  # type: ignore[attr-defined]
        call.__settings__ = settings  # type: ignore[attr-defined]
        del call.__wrapped__
        return call

    return decorate


def _documented(function: Callable[..., Any], settings: Callable[..., Any]) -> str:
    """The function's docstring with the settings as its arguments, in front of what it returns and raises."""
    own = inspect.getdoc(function) or ""
    documentations = [inspect.cleandoc(kind.__doc__ or "") for kind in inspect.getmro(cast(type, settings))]
    arguments = "Args:" + "".join(text.partition("Attributes:")[2].rstrip() for text in reversed(documentations))
    head, heading, rest = own.partition("Returns:")
    return f"{head.rstrip()}\n\n{arguments}\n" + (f"\n{heading}{rest}" if heading else "")


def from_plain(kind: Callable[..., S], content: Mapping[str, Any], where: str, skip: Collection[str] = ()) -> S:
    """Settings dataclass of nested plain values, checked as the command line does; `where` is for the message."""
    from jsonargparse import ArgumentError, ArgumentParser

    groups = {name: Mapping for name, hint in hints_of(kind).items() if is_dataclass(hint)}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "content", skip=set(skip))
    try:
        require(content, groups)
        settings: S = parser.instantiate(parser.parse_object({"content": dict(content)})).content
    except (ArgumentError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}; fix the settings") from error
    return settings
