"""The example notebook runs from top to bottom, and shows what its text promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_segmenter.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Outputs of the code cells, by the last line of their code."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    folder = tmp_path_factory.mktemp("notebook")
    nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(folder)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert (folder / "cells.png").is_file()
    return {cell.source.splitlines()[-1]: cell.outputs for cell in code}


def html_of(outputs: list[Any]) -> str:
    return "\n".join(output.data.get("text/html", "") for output in outputs if "data" in output)


@pytest.mark.weights
class TestTheNotebook:
    def test_the_data_are_shown(self, cells: dict[str, list[Any]]) -> None:
        assert "40 cases, 0 errors, 0 warnings" in html_of(cells["samtailor.check(DATA)"])

    def test_training_shows_one_line_while_it_lasts_and_then_its_curves(self, cells: dict[str, list[Any]]) -> None:
        html = html_of(cells["run"])
        assert html.count("<progress") == 1
        assert "100%" in html
        assert "ipywidgets" not in html
        assert 'alt="curves' in html

    def test_it_has_learned_to_tell_the_classes(self, cells: dict[str, list[Any]]) -> None:
        html = html_of(cells["scores"])
        for name in ("cell", "bacterium"):
            dsc = html.split(f'<th scope="row">{name}</th><td>')[1].split("</td>")[0]
            assert float(dsc) > 0.6

    def test_the_segmenter_and_its_results_show_themselves(self, cells: dict[str, list[Any]]) -> None:
        assert "bacterium" in html_of(cells["segmenter"])
        assert "<img" in html_of(cells["result"])

    def test_a_click_takes_a_cell_away(self, cells: dict[str, list[Any]]) -> None:
        before, after = (html_of(cells[last]) for last in ("result", "segmenter.refine(result, [wrong])"))
        sizes = [int(html.split('<th scope="row">cell</th><td>')[1].split(" ")[0]) for html in (before, after)]
        assert sizes[1] < 0.9 * sizes[0]
