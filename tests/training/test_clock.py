"""The time left is what was measured before, and after some steps what the training itself takes."""

from __future__ import annotations

from typing import Any

import pytest

from samtailor.training.clock import Clock, Pace
from samtailor.training.settings import TrainConfig


def clock(paces: tuple[Pace, ...] = (Pace(2.0, 10.0),), **settings: Any) -> Clock:
    return Clock(TrainConfig(data="", out="", epochs=4, **settings), lambda _: 5, paces)


def test_validations_are_part_of_the_time_left() -> None:
    assert clock().left(1) == 4 * 5 * 2 + 4 * 10
    assert clock(validate_every=2).left(1) == 4 * 5 * 2 + 2 * 10
    assert clock(validate_every=3).left(4) == 5 * 2


def test_what_is_done_is_not_left() -> None:
    assert clock().left(3, steps=4) == (1 + 5) * 2 + 2 * 10
    assert clock().left(4, steps=5) == 10
    assert clock().left(4, steps=5, validated=0.75) == 2.5
    assert clock(validate_every=4).left(3, steps=5, validated=0.75) == 5 * 2 + 10
    assert clock().left(5) == 0


def test_each_phase_has_a_pace_of_its_own() -> None:
    both = clock((Pace(1.0, 3.0), Pace(2.0, 10.0)), head_epochs=3)
    assert both.left(1) == 3 * (5 * 1 + 3) + 5 * 2 + 10
    assert both.left(3, steps=5, validated=1.0) == 5 * 2 + 10
    both.add_step(1, 5.0)  # as much as a fourth one
    assert both.left(1) == 3 * (5 * (3 * 1 + 5) / 4 + 3) + 5 * 2 + 10


def test_the_tuning_behind_it_is_part_of_it() -> None:
    assert clock(tune_bias=True, tta="both").left(4, steps=5, validated=1.0) == 4 * 10
    assert clock(tune_bias=True).left(4, steps=5, validated=1.0) == 10
    assert clock(tune_bias=True, tune_refinement=True).left(4, steps=5, validated=1.0) == 2 * 10


def test_the_training_itself_replaces_what_was_measured() -> None:
    found = clock()
    for _ in range(997):
        found.add_step(1, 4.0)
    found.add_validation(1, 30.0)
    assert found.left(1) == pytest.approx(4 * 5 * 4 + 4 * 30, rel=1e-2)


def test_nothing_is_said_while_a_part_is_not_known() -> None:
    found = clock(())
    assert found.left(1) is None
    found.add_step(1, 2.0)
    assert found.left(1) is None
    found.add_validation(1, 10.0)
    assert found.left(2) == 3 * 5 * 2 + 3 * 10
