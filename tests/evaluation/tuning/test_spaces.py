"""What is searched is declared in one table, and drawn by seed."""

from __future__ import annotations

import pytest

import samtailor.evaluation.tuning.spaces as spaces
from samtailor.errors import ConfigError
from samtailor.evaluation.tuning.spaces import SPACES, require_candidates, settings_of
from samtailor.refinement import STEPS
from samtailor.refinement.outline import Outline
from samtailor.refinement.smallest import Smallest


def test_every_step_has_a_space_and_all_its_values_are_valid() -> None:
    assert SPACES.keys() == STEPS.keys()
    for name in SPACES:
        steps = settings_of(name, 10_000, 0)
        assert steps[0] == STEPS[name]()
        assert len(set(steps)) == len(steps)


def test_values_that_do_not_go_together_are_left_out() -> None:
    steps = settings_of("outline", 10_000, 0)
    assert all(isinstance(step, Outline) and (step.points or step.box or step.mask) for step in steps)


def test_a_small_grid_is_tried_as_a_whole_and_of_a_large_one_a_seeded_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spaces.SPACES, "smallest", {"size": (1.0, 10.0, 100.0)})
    assert settings_of("smallest", 3, 0) == [Smallest(), Smallest(1.0), Smallest(100.0)]
    assert settings_of("smallest", 1, 0) == [Smallest()]
    assert len(settings_of("smallest", 2, 0)) == 2
    first, again, other = (settings_of("crf", 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 12
    assert settings_of("fill-holes", 12, 0) == [STEPS["fill-holes"]()]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["crf", "magic"], "expected some of outline, .*; found 'magic'"),
        (["crf", "smallest", "crf"], "expected each step once, found crf twice"),
        (["crf", "outline"], "expected what the network draws again first.*; found outline after crf"),
    ],
)
def test_candidates_that_cannot_be_tried_are_refused(names: list[str], found: str) -> None:
    require_candidates(list(SPACES))
    with pytest.raises(ConfigError, match=f"candidates: {found}"):
        require_candidates(names)
