"""What is told of a prediction."""

from __future__ import annotations

from pathlib import Path

from samtailor.inference.report import Failure, PredictReport

DONE = (Path("out/a.png"), Path("out/b.png"))


def test_success_is_one_line_without_complaint() -> None:
    report = PredictReport(DONE, (), out=Path("out"))
    assert str(report) == "2 written to out"
    assert report.exit_code == 0
    assert report.complaint == ""


def test_results_that_were_there_are_counted() -> None:
    assert str(PredictReport((), (), DONE, Path("out"))) == "0 written to out, 2 were there"


def test_every_failure_is_named_with_its_reason() -> None:
    failures = (Failure(Path("in/a.png"), "expected a picture, found a song"), Failure(Path("in/b.png"), "empty"))
    report = PredictReport((), failures)
    assert report.exit_code == 1
    assert report.complaint == "2 failed:\n  in/a.png: expected a picture, found a song\n  in/b.png: empty"
