"""Progress is told where work is done, and one display shows one number, however deep the work is nested."""

from __future__ import annotations

import pytest

from samtailor.progress import report, shown_by, told_every, tracked
from tests.conftest import Report


def test_items_are_reported_when_they_begin_and_once_they_all_are_done(reports: list[Report]) -> None:
    assert list(tracked("cases", ["a", "b"])) == ["a", "b"]
    assert reports == [("cases", 0, 2), ("cases", 1, 2), ("cases", 2, 2)]


def test_work_inside_an_item_is_a_fraction_of_it_at_any_depth(reports: list[Report]) -> None:
    for case in tracked("cases", [0, 1]):
        for _ in tracked("slices", [0, 1]) if case else []:
            report("points", 1, 4)
    inside = [done for what, done, _ in reports]
    assert {what for what, *_ in reports} == {"cases"}
    assert inside == [0, 1, 1, 1 + 0.25 / 2, 1.5, 1 + 1.25 / 2, 2, 2]


def test_of_nothing_nothing_is_reported(reports: list[Report]) -> None:
    assert not list(tracked("cases", []))
    assert not reports


def test_bytes_are_shown_for_themselves(reports: list[Report]) -> None:
    for _ in tracked("cases", [0]):
        report("weights.pth", 10, 100, "bytes")
    assert ("weights.pth", 10, 100) in reports


def test_an_item_that_fails_is_no_longer_open(reports: list[Report]) -> None:
    def fail() -> None:
        for _ in tracked("cases", [0]):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    reports.clear()
    report("slices", 1, 2)
    assert reports == [("slices", 1, 2)]


def test_without_a_display_nothing_happens_and_the_one_before_is_back(reports: list[Report]) -> None:
    with shown_by(lambda *told: None):
        report("slices", 1, 2)
    report("slices", 2, 2)
    assert reports == [("slices", 2, 2)]


@pytest.mark.parametrize(("told", "seconds"), [("2.5", 2.5), ("0", 0.0), (None, 60.0)])
def test_a_program_may_want_more_lines(told: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAMTAILOR_TELL_EVERY", raising=False)
    if told is not None:
        monkeypatch.setenv("SAMTAILOR_TELL_EVERY", told)
    assert told_every() == seconds
