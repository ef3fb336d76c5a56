"""The tables and the figure of the docs are those of the file of all fits, to which results are added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import measured
from benchmarks.accuracy.measured import (
    Measured,
    figure_of,
    main,
    read_measured,
    results_in,
    tables,
    write_measured,
)
from benchmarks.accuracy.results import FILE, Fit, Results
from samtailor.errors import FileError
from tests.benchmarks.accuracy.test_results import ABOUT, TITLES

DOCS = Path(__file__).parents[3] / "docs"
OURS = Measured("gid5", "samtailor", 30, 0, {"dsc": 0.75, "iou": 0.5}, 800, "a CPU", "abc1234", "beside, tests")
TARGETS = {"dsc": 0.5, "iou": 0.25, "pd": 0.981, "fa": 37.4}


def test_docs_have_the_tables_of_the_file() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    for table in tables(read_measured()):
        assert str(table) in text, "python -m benchmarks.accuracy.measured prints the tables: put them there"


def test_the_file_is_written_as_it_is_read(tmp_path: Path) -> None:
    found = read_measured()
    write_measured(found[::-1], tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == measured.MEASURED.read_text()
    write_measured([OURS], tmp_path / "one.csv")
    assert read_measured(tmp_path / "one.csv") == [OURS]


def test_of_several_seeds_a_table_has_the_means() -> None:
    seeds = [replace(OURS, seed=seed, scores={"dsc": dsc, "iou": 0.5}) for seed, dsc in enumerate([0.7, 0.8, 0.9])]
    unet = replace(OURS, data="sirst", method="unet", minutes=60, scores=TARGETS)
    land, targets, organs = tables([unet, *seeds])
    assert land.header[1:] == ("30 minutes", "60 minutes")
    assert land.rows == (("`samtailor`", "0.800, 0.500 (3 seeds)", "-"),)
    assert targets.rows == (("`unet`", "-", "0.500, 0.250, 98.1%, 37"),)
    assert organs.rows == ()


def test_the_figure_has_the_same_colour_for_a_method_in_every_panel() -> None:
    organs = replace(OURS, data="btcv", method="dynunet", scores={"dsc": 0.25, "dsc8": 0.3})
    figure = figure_of([OURS, replace(OURS, minutes=60, scores={"dsc": 0.8, "iou": 0.6}), organs])
    land, targets, volumes = figure.axes
    drawn = [{line.get_label(): line for line in axes.lines} for axes in (land, targets, volumes)]
    assert [list(lines) for lines in drawn] == [["samtailor", "dynunet"]] * 3
    np.testing.assert_allclose(drawn[0]["samtailor"].get_xydata(), [[30, 0.75], [60, 0.8]])
    np.testing.assert_allclose(drawn[2]["dynunet"].get_xydata(), [[30, 0.25]])
    assert len({lines["dynunet"].get_color() for lines in drawn}) == 1
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "mean DSC of six classes",
        "target DSC",
        "mean DSC of 13 organs",
    ]


def compared(out: Path, *fits: Fit, data: str = "sirst", cases: int = 85) -> Path:
    """A folder of results."""
    results = Results(
        out,
        ABOUT | {"data": data, "split": ABOUT["split"] | {"cases": cases}},
        TITLES | {fit.method: "any" for fit in fits},
    )
    for fit in fits:
        results.add(fit)
    return out


def fit_of(method: str = "dynunet", seed: int = 0) -> Fit:
    scores = dict(zip(("target DSC", "IoU", "Pd", "Fa, 1e-6"), TARGETS.values(), strict=True))
    return Fit(method, 30.0, seed, 1795.0, scores, {"samples": 1706})


def test_results_are_added_and_take_the_place_of_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, older = tmp_path / "accuracy.csv", Measured("sirst", "dynunet", 30, 0, TARGETS, 1, "an older CPU", "0000000")
    write_measured([older, OURS], file)
    monkeypatch.setattr(measured, "MEASURED", file)
    out = compared(tmp_path / "out", fit_of(), fit_of(seed=1))
    assert main(["--add", str(out), "--machine", "a CPU", "--commit", "abc1234", "--note", "alone"]) == 0
    new = Measured("sirst", "dynunet", 30, 0, TARGETS | {"fa": 37.4}, 1706, "a CPU", "abc1234", "alone")
    assert read_measured(file) == [OURS, new, replace(new, seed=1)]
    assert "0.500, 0.250, 98.1%, 37 (2 seeds)" in capsys.readouterr().out


def test_what_is_printed_with_new_results_is_what_the_file_then_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_measured([OURS], tmp_path / "accuracy.csv")
    monkeypatch.setattr(measured, "MEASURED", tmp_path / "accuracy.csv")
    fit = replace(fit_of(), scores=fit_of().scores | {"Fa, 1e-6": 37.49999})
    assert main(["--add", str(compared(tmp_path / "out", fit)), "--machine", "a CPU", "--commit", "abc1234"]) == 0
    printed = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == printed


def test_what_no_table_has_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = measured.MEASURED.read_bytes()
    own = compared(tmp_path / "own", fit_of(), data="tiles")
    assert main(["--add", str(own), "--machine", "a CPU", "--commit", "abc1234"]) == 2
    assert f"{own / FILE}: expected one of gid5, sirst, btcv, found tiles" in capsys.readouterr().err
    flags = compared(tmp_path / "flags", fit_of("samtailor --optim.ema 0.99"))
    with pytest.raises(FileError, match="expected methods without flags"):
        results_in(flags, "a CPU", "abc1234", "")
    some = compared(tmp_path / "some", fit_of(), cases=2)
    with pytest.raises(FileError, match="expected the scores of 85 cases of 'test', found 2 of 'test'"):
        results_in(some, "a CPU", "abc1234", "")
    with pytest.raises(SystemExit, match="2"):
        main(["--add", str(own)])
    assert "--add: expected --machine and --commit with it" in capsys.readouterr().err
    assert measured.MEASURED.read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "accuracy.csv"
    write_measured([OURS], file)
    file.write_text(file.read_text().replace("samtailor", "another"))
    with pytest.raises(FileError, match="another on gid5"):
        read_measured(file)
