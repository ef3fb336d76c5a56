"""Steps are named, or spelt out; their own settings reach those that are chosen, and are refused where none is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from samtailor.errors import ConfigError
from samtailor.kinds import Steps
from samtailor.settings import Checked, Within


@dataclass(frozen=True)
class Sand(Checked, group="polish"):
    grain: Annotated[int, Within(1, 1000)] = 80
    strength: float = 1.0


@dataclass(frozen=True)
class Wax(Checked, group="polish"):
    strength: float | Literal["auto"] = "auto"
    from_: str = "bees"


KINDS: dict[str, type[Any]] = {"sand": Sand, "wax": Wax}
NESTED = Steps[Any]("polish", KINDS, nested=True)
FLAT = Steps[Any]("polish", KINDS, nested=False)


def test_names_become_steps_in_order() -> None:
    assert NESTED.chosen("wax, sand,wax") == (Wax(), Sand(), Wax())
    assert NESTED.chosen("none") == ()


def test_a_step_has_the_settings_with_its_name_in_front() -> None:
    steps = NESTED.chosen("sand,wax", {"sand.strength": 3.0, "wax.from": "carnauba"})
    assert steps == (Sand(strength=3.0), Wax(from_="carnauba"))


def test_a_flat_setting_speaks_to_every_chosen_step_that_has_it() -> None:
    assert FLAT.chosen("sand,wax", {"strength": 3.0, "grain": 7}) == (Sand(7, 3.0), Wax(3.0))
    assert FLAT.chosen("wax", {"strength": 3.0}) == (Wax(3.0),)


def test_the_settings_of_all_steps_are_known_by_their_flags() -> None:
    assert [setting.flag for setting in NESTED.settings()] == [
        "sand.grain",
        "sand.strength",
        "wax.strength",
        "wax.from",
    ]
    assert {setting.flag: [*setting.owners] for setting in FLAT.settings()} == {
        "grain": ["sand"],
        "strength": ["sand", "wax"],
        "from": ["wax"],
    }


@pytest.mark.parametrize("chosen", ["none", "wax", [Wax()]])
def test_a_setting_of_a_step_that_is_not_chosen_is_refused(chosen: Any) -> None:
    with pytest.raises(ConfigError, match=r"polish.sand.grain: expected with sand in --polish"):
        NESTED.chosen(chosen, {"sand.grain": 7})
    with pytest.raises(ConfigError, match=r"polish.grain: expected with sand in --polish"):
        FLAT.chosen(chosen, {"grain": 7})


def test_steps_are_read_back_from_plain_values() -> None:
    steps = (Wax(0.5), Sand(7))
    assert NESTED.to_plain(steps) == [
        {"kind": "wax", "strength": 0.5, "from_": "bees"},
        {"kind": "sand", "grain": 7, "strength": 1.0},
    ]
    assert NESTED.chosen(NESTED.to_plain(steps)) == NESTED.chosen(steps) == steps
    assert NESTED.to_plain(()) == "none"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("paint", "polish: expected one of sand, wax; found 'paint'"),
        ("", "found ''"),
        ("sand,", "found ''"),
        ([{"kind": "paint"}], "found 'paint'"),
        ([None], "polish: expected 'none', or some of sand, wax, joined by commas, or a list of steps; found None"),
        (["sand"], "found 'sand' in the list"),
        ([{"kind": "sand", "colour": 1}], "with its settings; found .*colour"),
        ([{"kind": "sand", "grain": 0}], "polish.grain: expected a whole number from 1 to 1000; found 0"),
    ],
)
def test_what_is_no_step_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NESTED.chosen(value)
