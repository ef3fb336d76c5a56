"""A comparison says what differs, by how much, how sure that is, and what it cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

import samtailor
from samtailor.cli import main
from samtailor.evaluation.bootstrap import resample
from samtailor.evaluation.comparison.compare import compare
from samtailor.evaluation.comparison.comparison import figures
from samtailor.evaluation.comparison.statistics import MEAN
from samtailor.evaluation.predictions import write_tables
from tests.evaluation.comparison.files import ORACLE, Values, write
from tests.evaluation.examples import scores

LIVER = np.array([0.80, 0.72, 0.65, 0.91, 0.55, 0.78, 0.69, 0.84])
GAIN = np.array([0.05, 0.02, -0.01, 0.03, 0.10, 0.04, 0.08, 0.07])
FIRST = {f"case {n}": (float(value), 0.5) for n, value in enumerate(LIVER)}
SECOND = {f"case {n}": (float(value), 0.6) for n, value in enumerate(LIVER + GAIN)}


def pair(tmp_path: Path, first: Values = FIRST, second: Values = SECOND) -> list[Path]:
    """Two results."""
    return [write(tmp_path / "first", first), write(tmp_path / "second", second)]


def test_differences_intervals_and_tests_of_known_values(tmp_path: Path) -> None:
    comparison = compare(pair(tmp_path))
    mean, liver, spleen = comparison.pairs[0].tests
    assert [test.name for test in comparison.tests] == [MEAN, "liver", "spleen"]
    assert liver.means == pytest.approx((LIVER.mean(), (LIVER + GAIN).mean()))
    assert liver.change.value == pytest.approx(GAIN.mean())
    assert mean.change.value == pytest.approx((GAIN.mean() + 0.1) / 2)
    assert liver.signs == (7, 0, 1)
    assert liver.pairs == 8
    assert liver.p == pytest.approx(wilcoxon(GAIN, method="exact").pvalue)
    drawn = resample(8, 1000, 0) @ GAIN / 8
    assert liver.change.interval == pytest.approx(np.percentile(drawn, (2.5, 97.5)))
    assert spleen.change.interval == pytest.approx((0.1, 0.1))
    assert (mean.p, spleen.p) == (2 / 2**8, 2 / 2**8)
    assert [test.corrected for test in (mean, spleen)] == pytest.approx([3 * mean.p, 3 * mean.p])
    assert liver.corrected == pytest.approx(max(3 * mean.p, liver.p))


def test_the_same_result_twice_differs_in_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", FIRST)
    comparison = compare([folder, folder])
    for test in comparison.tests:
        assert (test.change.value, test.change.interval, test.p, test.corrected) == (0, (0, 0), 1, 1)
        assert test.signs == (0, 8, 0)


def test_the_other_way_round_changes_signs_only(tmp_path: Path) -> None:
    folders = pair(tmp_path)
    forth, back = compare(folders).tests, compare(folders[::-1]).tests
    for one, other in zip(forth, back, strict=True):
        assert (one.p, one.corrected, one.signs) == (other.p, other.corrected, other.signs[::-1])
        assert one.change.value == -other.change.value
        assert one.change.interval is not None
        assert other.change.interval == pytest.approx([-end for end in one.change.interval[::-1]], abs=1e-12)


def test_the_order_of_cases_in_the_files_changes_nothing_but_the_draws(tmp_path: Path) -> None:
    straight = compare(pair(tmp_path / "a")).tests
    mixed = compare(pair(tmp_path / "b", second=dict(reversed(SECOND.items())))).tests
    assert straight == mixed


def test_for_distances_lower_is_better(tmp_path: Path) -> None:
    folders = pair(tmp_path)
    for folder in folders:
        text = (folder / "metrics.json").read_text()
        (folder / "metrics.json").write_text(text.replace('"dsc"', '"hd95"'))
    assert compare(folders, metric="hd95").tests[2].signs == (0, 0, 8)


def test_a_class_that_counts_in_one_result_only_makes_no_pair_but_counts_in_the_mean(tmp_path: Path) -> None:
    folders = pair(tmp_path, {"one": (0.8, None), "two": (0.6, 0.4)}, {"one": (0.8, 0.0), "two": (0.6, 0.4)})
    comparison = compare(folders)
    mean, _, spleen = comparison.tests
    assert (spleen.pairs, spleen.unpaired, spleen.change.value) == (1, 1, 0)
    assert spleen.change.interval is None
    assert mean.change.value == pytest.approx((0.4 - 0.8) / 2)
    assert "spleen 1" in comparison.pair_table(comparison.pairs[0]).to_markdown()


def test_a_class_without_pairs_is_not_tested_and_not_counted(tmp_path: Path) -> None:
    comparison = compare(pair(tmp_path, {"one": (0.8, None)}, {"one": (0.9, 0.3)}))
    spleen = comparison.tests[2]
    assert np.isnan([spleen.p, spleen.corrected, spleen.change.value]).all()
    json.dumps(comparison.to_json(), allow_nan=False)


def test_a_single_class_is_tested_once(tmp_path: Path) -> None:
    values = [{name: row[:1] for name, row in result.items()} for result in (FIRST, SECOND)]
    folders = [write(tmp_path / str(n), value, classes=("target",)) for n, value in enumerate(values)]
    assert [test.name for test in compare(folders).tests] == ["target"]


def test_all_pairs_are_corrected_together(tmp_path: Path) -> None:
    folders = [*pair(tmp_path), write(tmp_path / "third", FIRST)]
    first_only, all_of_them = compare(folders), compare(folders, all_pairs=True)
    names = [(pair.reference.name, pair.result.name) for pair in all_of_them.pairs]
    assert names == [("first", "second"), ("first", "third"), ("second", "third")]
    assert len(first_only.pairs) == 2
    assert first_only.tests[0].corrected == pytest.approx(6 * first_only.tests[0].p)
    assert all_of_them.tests[0].corrected == pytest.approx(9 * first_only.tests[0].p)


def test_three_cases_cannot_show_anything_and_the_page_says_so(tmp_path: Path) -> None:
    few = [dict(list(values.items())[:3]) for values in (FIRST, SECOND)]
    text = compare(pair(tmp_path, *few)).verdict()
    assert "With 3 paired cases no p value can be below 0.2500: nothing can be significant" in text
    assert "at least 6 cases, the 3 tests of this page 7" in text


def test_too_many_tests_for_the_cases_are_told(tmp_path: Path) -> None:
    few = [dict(list(values.items())[:6]) for values in (FIRST, SECOND)]
    assert "0.0938 after Holm's correction for 3 tests: nothing on this page" in compare(pair(tmp_path, *few)).verdict()


def test_what_is_significant_is_counted_and_marked(tmp_path: Path) -> None:
    comparison = compare(pair(tmp_path))
    assert comparison.verdict().startswith("3 of 3 differences are significant at 0.05 after Holm's correction.")
    assert comparison.pair_table(comparison.pairs[0]).rows[0][-1] == "0.0234 *"


def test_upper_bounds_are_told_everywhere(tmp_path: Path) -> None:
    folders = [*pair(tmp_path), write(tmp_path / "oracle", FIRST, upper_bound=ORACLE)]
    comparison = compare(folders, out=tmp_path / "out")
    said = f"oracle: {ORACLE}"
    assert said in comparison.results_table().to_markdown()
    assert said in comparison.pair_table(comparison.pairs[1]).to_markdown()
    assert said not in comparison.pair_table(comparison.pairs[0]).to_markdown()
    for name in ("compare.md", "compare.html"):
        assert (tmp_path / "out" / name).read_text().count(said) == 3
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [result["upper_bound"] for result in content["results"]] == [None, None, ORACLE]


def test_figures_name_upper_bounds_and_join_pairs(tmp_path: Path) -> None:
    comparison = compare([*pair(tmp_path), write(tmp_path / "oracle", FIRST, upper_bound=ORACLE)])
    cases, classes = figures(comparison)
    for figure in (cases, classes):
        assert ORACLE in figure.get_suptitle().replace("\n", " ")
    assert [label.get_text() for label in cases.axes[0].get_yticklabels()][2] == "oracle †  (n = 8)"
    means = [result.case_means() for result in comparison.results]
    lines = [line for line in cases.axes[0].lines if len(line.get_xdata()) == 3 and line.get_zorder() == 2]
    assert {tuple(line.get_xdata()) for line in lines} == set(zip(*means, strict=True))
    assert [bar.get_width() for bar in classes.axes[0].containers[1]] == pytest.approx(  # type: ignore[union-attr]
        [comparison.means["first"][what].value for what in (MEAN, "liver", "spleen")]
    )


def test_what_evaluate_writes_can_be_compared(tmp_path: Path) -> None:
    for name in "ab":
        write_tables(scores(upper_bound=ORACLE if name == "b" else None), tmp_path / name)
    comparison = compare([tmp_path / "a", tmp_path / "b"], metric="iou")
    assert comparison.means["a"]["liver"].value == scores().summary("iou").classes[1].value
    assert comparison.upper_bounds == {"b": ORACLE}


def test_the_page_is_complete_and_self_contained(tmp_path: Path) -> None:
    samtailor.compare(pair(tmp_path), out=tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "compare.md",
        "compare.html",
        "compare.json",
        "cases.png",
        "classes.png",
    }
    page = (tmp_path / "out" / "compare.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
    assert "![" in (tmp_path / "out" / "compare.md").read_text()


def test_the_command_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(folder) for folder in pair(tmp_path)]
    assert main(["compare", *folders, "--out", str(tmp_path / "out"), "--names", "before", "after"]) == 0
    text = capsys.readouterr().out
    assert "after against before" in text
    assert "3 of 3 differences are significant" in text
    assert repr(compare(folders)) == "<Comparison of first, second by dsc on 8 cases>"


def test_the_command_refuses_before_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [write(tmp_path / "a", FIRST), write(tmp_path / "b", FIRST, protocol="monai")]
    assert main(["compare", *map(str, folders), "--out", str(tmp_path / "out")]) == 2
    assert "expected results of one protocol" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
