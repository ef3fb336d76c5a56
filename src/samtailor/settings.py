"""What the public functions' settings have in common; light, for the command line reads it before anything else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, cast

from samtailor.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

AnyPath = str | Path
Split = Literal["train", "val", "test"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "32", "bf16", "16"]
"""In which a network computes; 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere."""

RARE = "rarely used"
Rare = Annotated[T, RARE]
"""A setting that the help of the command line lists behind the usual ones."""


IntensityName = Literal["auto", "window", "percentile", "range"]


@dataclass(frozen=True)
class IntensityConfig:
    """How file intensities become [0, 1].

    Attributes:
        kind: 'auto' takes the CT window for channels called CT, the full range for 8-bit pictures, percentiles
            for everything else.
        values: Level and width of the window, or low and high of range or percentile; the kind's default if None.
    """

    kind: IntensityName = "auto"
    values: tuple[float, float] | None = None


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

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "content", skip=set(skip))
    try:
        settings: S = parser.instantiate(parser.parse_object({"content": dict(content)})).content
    except ArgumentError as error:
        raise ConfigError(f"{where}: {error}; fix the settings") from error
    return settings
