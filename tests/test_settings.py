"""Settings are listed once, in a dataclass; the function that takes them shows and documents them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
import yaml

import samtailor
from samtailor.cli import main
from samtailor.errors import ConfigError
from samtailor.files import cache_home
from samtailor.recipes import RECIPES
from samtailor.settings import (
    AnyPath,
    Checked,
    Device,
    Fraction,
    Rare,
    Within,
    checked,
    from_plain,
    hints_of,
    is_by_name,
    require,
    takes,
)
from samtailor.training.settings import LossConfig, OptimConfig, SamplingConfig, TrainConfig
from samtailor.zeroshot.settings import GeneratorSettings


@dataclass(frozen=True)
class Base:
    """Settings of many.

    Attributes:
        size: How large.
    """

    size: int = 3


@dataclass(frozen=True)
class Settings(Base):
    """Settings of one.

    Attributes:
        name: What it is called.
    """

    name: str = "a"
    depth: Rare[int] = 1


@takes(Settings)
def described(settings: Settings) -> str:
    """Describe something.

    Returns:
        A text.
    """
    return f"{settings.name}{settings.size}"


def test_the_function_takes_the_fields_as_keyword_arguments() -> None:
    assert list(inspect.signature(described).parameters) == ["size", "name", "depth"]
    assert described(name="b", size=4) == "b4"
    with pytest.raises(TypeError, match="nam"):
        described(nam="b")  # type: ignore[call-arg]


def test_its_documentation_is_its_own_with_all_settings() -> None:
    text = inspect.getdoc(described) or ""
    assert text.startswith("Describe something.")
    assert "size: How large." in text
    assert text.index("name: What it is called.") < text.index("Returns:")


@pytest.mark.parametrize(("content", "named"), [({"nam": "b"}, "nam"), ({"size": "four"}, "size")])
def test_plain_values_are_checked_as_on_the_command_line(content: dict[str, str], named: str) -> None:
    assert from_plain(Settings, {"size": 4}, "file.yaml") == Settings(size=4)
    with pytest.raises(ConfigError, match=rf"file\.yaml.*{named}"):
        from_plain(Settings, content, "file.yaml")


def settings_everywhere() -> Iterator[tuple[str, Any]]:
    """Every setting of every verb, of what its settings hold, and of the recipes, with its type."""
    sources: list[Any] = [
        *map(verb_of, samtailor.VERBS),
        *RECIPES.values(),
        GeneratorSettings,
        samtailor.Segmenter.predict,
    ]
    for source in sources:
        assert not isinstance(source, type) or issubclass(source, Checked), f"{source} is not checked"
        for name, hint in hints_of(source).items():
            if is_dataclass(hint) and hint is not samtailor.Recipe and hint not in sources:
                sources.append(hint)
            if get_origin(hint) is not ClassVar:
                yield f"{getattr(source, '__name__', source)}.{name}", hint


def verb_of(name: str) -> Any:
    """The function that a verb is."""
    module, _, function = samtailor.VERBS[name].rpartition(".")
    return getattr(import_module(f"samtailor.{module}"), function)


def numbers_in(hint: Any, limits: tuple[Within, ...] = ()) -> Iterator[tuple[type, tuple[Within, ...]]]:
    """Kinds of numbers that a type allows, with their ranges."""
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        yield from numbers_in(kind, limits + tuple(mark for mark in marks if isinstance(mark, Within)))
    elif hint in (int, float):
        yield hint, limits
    elif get_origin(hint) is not Literal:
        for part in get_args(hint):
            yield from numbers_in(part)


NUMBERS = [(name, hint) for name, hint in settings_everywhere() if any(numbers_in(hint))]


WRONG = (math.nan, math.inf, -math.inf, 10**400, 10**5000, "four", True, b"1", {}, [math.nan], [math.nan, math.nan])


@pytest.mark.parametrize(("name", "hint"), NUMBERS, ids=[name for name, _ in NUMBERS])
def test_every_number_has_a_range_and_is_held_to_it(name: str, hint: Any) -> None:
    assert all(limits for _, limits in numbers_in(hint)), f"{name} may be any number"
    assert all(limit.least is not None and limit.most is not None for kind, (limit,) in numbers_in(hint) if kind is int)
    for wrong in (*WRONG[:-3], {"a": math.nan}, *WRONG[-2:]) if is_by_name(hint) else WRONG:
        with pytest.raises(ConfigError, match="it: expected"):
            require({"it": wrong}, {"it": hint})
    for kind, (limit,) in numbers_in(hint):
        for end, step in ((limit.least, -1), (limit.most, 1)):
            if end is None:
                continue
            fits = end - step if limit.above and end == limit.least else end
            assert any(accepted(shape, hint) for shape in shapes(kind(fits)))
            assert not any(accepted(shape, hint) for shape in shapes(kind(end + step)))


def shapes(number: float) -> list[Any]:
    """A number by itself, by name, and as lists of as many as some setting takes."""
    return [number, {"a": number}, [number], [number] * 2, [number] * 3]


def accepted(value: Any, hint: Any) -> bool:
    try:
        require({"it": value}, {"it": hint})
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class Ranged(Checked, group="part"):
    """Settings with ranges.

    Attributes:
        share: How much.
    """

    share: Fraction = 0.5


@checked
def placed(file: AnyPath, files: Sequence[AnyPath] = (), device: Device = "auto", share: Fraction = 0.5) -> float:
    """Do something."""
    return share


def test_settings_are_held_to_their_types_wherever_they_come_from() -> None:
    with pytest.raises(ConfigError, match=r"^part\.share: expected a number from 0 to 1; found 2$"):
        Ranged(share=2)
    with pytest.raises(ConfigError, match=r"part\.share: expected a number from 0 to 1; found -1"):
        from_plain(Ranged, {"share": -1}, "file.yaml")


def test_numbers_of_numpy_are_kept_as_pythons() -> None:
    shares = np.linspace(0, 1, 3)
    kept = TrainConfig(
        data="data",
        out="run",
        seed=np.arange(3)[1],  # type: ignore[arg-type]
        optim=OptimConfig(lr=shares[1]),
        loss=LossConfig(class_weights=[np.float32(1), shares[2]]),  # type: ignore[list-item]
        sampling=SamplingConfig(per_epoch=[np.int16(4), 8]),  # type: ignore[list-item]
    )
    plain = kept.to_plain()
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    assert (kept.seed, kept.optim.lr, kept.loss.class_weights, kept.sampling.per_epoch) == (1, 0.5, [1.0, 1.0], [4, 8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 1.5}, "share: expected a number from 0 to 1; found 1.5"),
        ({"share": "x" * 500}, "share: expected a number from 0 to 1; found 'xxx"),
        ({"device": "gpu"}, "device: expected one of auto, cpu, cuda; found 'gpu'"),
        ({"files": "scan.nii.gz"}, "files: expected a list"),
        ({"files": [3]}, "files: expected a list, each text or a path; found"),
        ({"file": "a\0b"}, "file: expected text or a path; found 'a\\\\x00b'"),
    ],
)
def test_arguments_of_python_calls_are_held_to_their_types(arguments: dict[str, Any], message: str) -> None:
    assert placed(Path("a"), share=1) == 1
    with pytest.raises(ConfigError, match=message) as error:
        placed(**{"file": "a", **arguments})
    assert len(str(error.value)) < 200


NO_GPU = {
    "estimate": ["nowhere"],
    "train": ["nowhere", "--out", "OUT"],
    "evaluate": ["nowhere", "nowhere"],
    "baseline": ["nowhere", "--out", "OUT"],
    "tune-bias": ["nowhere", "nowhere"],
    "tune-refinement": ["nowhere", "nowhere"],
    "robustness": ["nowhere", "nowhere"],
    "predict": ["nowhere", "nowhere.png", "--out", "OUT"],
    "app": ["nowhere"],
    "reproduce": ["table1", "--data", "nowhere", "--out", "OUT"],
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_every_verb_with_a_device_refuses_one_that_is_not_there_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {verb for verb in samtailor.VERBS if "device" in hints_of(verb_of(verb))} == set(NO_GPU)
    for verb, words in NO_GPU.items():
        out = str(tmp_path / verb)
        assert main([verb, *(word.replace("OUT", out) for word in words), "--device", "cuda"]) == 2
        assert "device: expected a GPU" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_paths_begin_at_home_wherever_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell looks into a file of settings, or at --out=~/x."""
    monkeypatch.setenv("HOME", str(tmp_path))

    @checked
    def verb(data: AnyPath, inputs: Sequence[AnyPath], out: AnyPath | None = None, name: str = "") -> tuple[Any, ...]:
        return data, inputs, out, name

    assert verb("~/d", ["~/a", "b~/c"], out=Path("~/o"), name="a ~") == (
        str(tmp_path / "d"),
        [str(tmp_path / "a"), "b~/c"],
        tmp_path / "o",
        "a ~",
    )
    assert samtailor.TrainConfig(data="~/d", out="~/o").data == str(tmp_path / "d")
    monkeypatch.setenv("SAMTAILOR_HOME", "~/cache")
    assert cache_home() == tmp_path / "cache"
