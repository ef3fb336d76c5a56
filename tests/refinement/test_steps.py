"""A setting names steps; what it does not know is refused."""

from __future__ import annotations

import pytest

from samtailor.errors import ConfigError
from samtailor.refinement import chosen_refinement
from samtailor.refinement.largest_component import LargestComponent


def test_names_become_steps_in_order() -> None:
    assert chosen_refinement("largest-component") == (LargestComponent(),)
    assert chosen_refinement("largest-component, largest-component") == (LargestComponent(), LargestComponent())


def test_none_is_no_step_and_nothing_is_what_was_saved() -> None:
    assert chosen_refinement("none") == ()
    assert chosen_refinement(None) is None


@pytest.mark.parametrize("refine", ["largest", "largest-component,magic", ""])
def test_other_names_are_refused(refine: str) -> None:
    with pytest.raises(ConfigError, match=r"refine: expected one of .*largest-component.*; found '(largest|magic|)'"):
        chosen_refinement(refine)
