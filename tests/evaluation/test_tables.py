"""Tables say what they hold, and by which rule."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from samtailor.evaluation.scores import case_table, class_table
from samtailor.metrics.empty import EMPTY_RULES
from samtailor.metrics.protocols import PROTOCOLS, ProtocolName
from tests.evaluation.examples import FIRST, SECOND, scores


def test_the_class_table_has_a_row_for_each_class_and_both_means() -> None:
    table = class_table(scores())
    assert [row[0] for row in table.rows] == [
        "background",
        "liver",
        "spleen",
        "mean without background",
        "mean with background",
    ]
    assert table.rows[1] == (
        "liver",
        "0.6000",
        "0.400 to 0.800",
        "0.4583",
        "0.250 to 0.667",
        "0.6667",
        "0.5000",
        "2",
        "18",
    )
    assert table.rows[2] == ("spleen", "1.0000", "-", "1.0000", "-", "1.0000", "1.0000", "1", "3")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_table_is_printed_with_its_protocol_and_rule(name: ProtocolName) -> None:
    protocol = PROTOCOLS[name]
    for table in (class_table(scores(name)), case_table(scores(name))):
        assert f"'{name}': {protocol.description}" in table.to_markdown()
        assert f"'{protocol.empty}': {EMPTY_RULES[protocol.empty].description}" in table.to_markdown()


def test_the_class_table_says_which_numbers_are_pooled() -> None:
    text = class_table(scores()).to_markdown()
    assert "DSC, IoU: each class averaged over the cases" in text
    assert "Pooled: voxels of all cases added up" in text
    assert "2 cases" in text


def test_tables_of_pictures_count_pixels() -> None:
    pictures = tuple(replace(case, unit="pixels") for case in (FIRST, SECOND))
    text = class_table(scores(cases=pictures)).to_markdown()
    assert "pixels |" in text
    assert "Pooled: pixels of all cases" in text
    assert "voxels" not in text
    assert "voxels |" in class_table(scores(cases=(pictures[0], SECOND))).to_markdown()


def test_a_single_case_has_dashes_for_intervals() -> None:
    table = class_table(scores(cases=(FIRST,)))
    assert {row[2] for row in table.rows} == {row[4] for row in table.rows} == {"-"}
    assert "1 case," in table.to_markdown()


def test_the_case_table_has_the_dsc_of_each_case() -> None:
    table = case_table(scores())
    assert table.header == ("case", "liver", "spleen", "mean")
    assert table.rows == (("first", "0.8000", "1.0000", "0.9000"), ("second", "0.4000", "-", "0.4000"))


def test_a_bound_is_called_one_in_every_table_and_file() -> None:
    bound = "upper bound, uses the ground truth: the best mask is taken"
    found = scores(upper_bound=bound)
    sentence = bound[0].upper() + bound[1:]
    assert sentence in class_table(found).to_markdown()
    assert sentence in case_table(found).to_markdown()
    assert {row["upper_bound"] for row in csv.DictReader(io.StringIO(found.to_csv()))} == {bound}
    assert found.to_json()["upper_bound"] == bound
