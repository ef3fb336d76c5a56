"""Fitting again: a training of what is labelled in a process of its own, whose segmenter the page then takes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from samtailor.models.zoo import Base
from samtailor.page import fitting as fitting_module
from samtailor.page.fitting import FitAgain
from samtailor.page.request_error import RequestError
from samtailor.runs import Run
from tests import generate
from tests.page.conftest import Opening
from tests.page.pages import Page
from tests.small_run import small_run

_LONG = 300


def wait(page: Page, *states: str) -> dict[str, Any]:
    """The fit when it has one of some states."""
    end = time.monotonic() + _LONG
    while (fit := page.json("GET", "/api/fit"))["state"] not in states:
        assert time.monotonic() < end, fit
        time.sleep(0.1)
    return fit


def test_a_fit_trains_and_its_segmenter_is_taken(open_page: Opening, pictures: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    page.json("POST", "/api/cases/0/predict")
    before = page.label(0, "prediction")
    begun = page.json("POST", "/api/fit", json={"time": "8s"})
    assert begun["state"] == "running"
    assert begun["run"] == str(pictures / "data-fit-1")
    assert "one; wait for its end" in page.refused("POST", "/api/fit", 409, json={"time": "8s"})
    assert page.open(0)["shown"] == "truth"  # the page goes on
    fit = wait(page, "done", "failed")
    assert fit["state"] == "done", fit
    assert Run(pictures / "data-fit-1").is_finished()
    found = page.project()
    assert found["fit"] == fit
    assert found["segmenter"]["text"] == str(pictures / "data-fit-1")
    assert found["segmenter"]["prompted"]
    assert not any(row["predicted"] for row in found["cases"])
    assert np.array_equal(page.label(0, "before"), before)
    assert page.open(0)["sources"] == ["truth", "before"]
    row = page.json("POST", "/api/cases/0/predict")["row"]
    assert row["predicted"]
    picture = page.server.project.case(0).files.images[0]
    expected = page.server.project.require_segmenter().predict(picture, probabilities=True)
    assert np.array_equal(page.label(0, "prediction"), expected.label)
    assert page.open(0)["sources"] == ["truth", "prediction", "before"]
    page.prompt(0, **{"class": 1, "box": [4, 4, 30, 30]})  # by the new one


def test_from_a_base_to_a_segmenter(open_page: Opening, pictures: Path, tmp_path: Path) -> None:
    for number in range(2, 6):
        (pictures / "data" / "masks" / f"tile_{number}.png").unlink()
    page = open_page(base="tiny-sam", data=pictures / "data", out=tmp_path / "runs")
    page.prompt(0, **{"class": 1, "box": [4, 4, 30, 30]})
    page.json("POST", "/api/fit", json={"time": "6s"})
    fit = wait(page, "done", "failed")
    assert fit["state"] == "done", fit
    run = Run(tmp_path / "runs" / "data-fit-1")
    splits = run.read_dataset()["splits"]
    assert sorted(name for names in splits.values() for name in names) == ["tile_0", "tile_1"]
    found = page.project()
    assert (found["base"], found["segmenter"]["base"]) == (None, "tiny-sam")
    assert page.json("POST", "/api/cases/4/predict")["row"]["predicted"]
    page.prompt(4, **{"class": 1, "box": [4, 4, 30, 30]})


def test_it_can_be_stopped_and_begun_again(open_page: Opening, pictures: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    assert "found none" in page.refused("DELETE", "/api/fit", 409)
    page.json("POST", "/api/fit", json={"time": "1h"})
    page.json("DELETE", "/api/fit")
    fit = wait(page, "idle", "done", "failed")
    assert (fit["state"], fit["line"], fit["error"]) == ("idle", "stopped", None)
    assert page.project()["segmenter"]["text"] == str(pictures / "run")
    assert page.json("POST", "/api/fit", json={"time": "1h"})["state"] == "running"
    process = page.server.fitting._process
    assert process is not None
    page.server.close()  # as with the server
    assert process.poll() is not None


def test_what_is_wrong_is_told_as_on_the_command_line(open_page: Opening, pictures: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    for number in range(6):
        page.json("POST", f"/api/cases/{number}/revert", params={"to": "empty"})
        page.json("POST", f"/api/cases/{number}/save")
    page.json("POST", "/api/fit", json={"time": "5s"})
    fit = wait(page, "idle", "done", "failed")
    assert fit["state"] == "failed"
    assert "forbid training" in fit["error"]
    assert not fit["error"].startswith("samtailor")
    assert page.project()["segmenter"]["text"] == str(pictures / "run")


@pytest.mark.parametrize("content", [{}, {"time": 5}, {"time": "soon"}, {"time": "0s"}])
def test_a_time_is_asked_for(content: dict[str, Any], open_page: Opening, pictures: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    assert "time: expected" in page.refused("POST", "/api/fit", 400, json=content)
    assert not (pictures / "data-fit-1").exists()


def test_too_little_is_labelled(open_page: Opening, pictures: Path) -> None:
    for number in range(1, 6):
        (pictures / "data" / "masks" / f"tile_{number}.png").unlink()
    page = open_page(pictures / "run", pictures / "data")
    assert "at least 2 labelled cases" in page.refused("POST", "/api/fit", 409, json={"time": "5s"})
    assert page.json("GET", "/api/fit")["state"] == "idle"


WARNED = """
import shutil, sys
from pathlib import Path
from samtailor.runs import Run, RunWarning
run = Path(sys.argv[sys.argv.index("--out") + 1])
shutil.copytree(sys.argv[1], run)
Run(run).write_warning(RunWarning(("water is not found", "the loss did not fall"), ("few cases",), ("label more",)))
"""


def test_what_speaks_against_the_new_segmenter_is_told(open_page: Opening, pictures: Path, tmp_path: Path) -> None:
    server = open_page(pictures / "run", pictures / "data").server
    program = [sys.executable, "-c", WARNED, str(pictures / "run")]
    fitting = FitAgain(server.project, tmp_path, "tiny-sam", server.fitting._weights, program)
    fitting.start("5s")
    while fitting.describe()["state"] == "running":
        time.sleep(0.02)
    assert fitting.describe()["state"] == "done", fitting.describe()
    assert fitting.describe()["warning"] == "water is not found; the loss did not fall"


def test_a_segmenter_that_cannot_be_taken_ends_the_fit(
    open_page: Opening,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = open_page(pictures / "run", pictures / "data").server

    def load(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(fitting_module, "load", load)
    fitting = FitAgain(server.project, tmp_path, "tiny-sam", None, [sys.executable, "-c", "pass"])
    fitting.start("5s")
    end = time.monotonic() + _LONG
    while fitting.describe()["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert (fitting.describe()["state"], fitting.describe()["error"]) == ("failed", "out of memory")
    assert "Traceback" in caplog.text
    fitting.start("5s")  # the next one may begin
    fitting.close()


def test_what_the_run_took_of_the_data_is_shown_and_fitted(
    open_page: Opening, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        pixels, ids = generate.picture((40, 48), index)
        bands = np.concatenate([pixels, pixels[..., :1]], axis=2).transpose(2, 0, 1)
        for name in ("images", "masks"):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        image, mask = (tmp_path / "data" / name / f"{index}.tif" for name in ("images", "masks"))
        tifffile.imwrite(image, bands, photometric="minisblack", planarconfig="separate")
        tifffile.imwrite(mask, ids)
    small_run(tmp_path / "data", tmp_path / "run", tiny_base, bands="4,3,2")
    page = open_page(tmp_path / "run")
    assert page.project()["data"] == str(tmp_path / "data")
    assert page.json("POST", "/api/cases/0/predict")["row"]["predicted"]
    asked: list[list[str]] = []

    def begin(words: list[str], **_: Any) -> Any:
        asked.append(words)
        raise RequestError(409, "enough is known")

    monkeypatch.setattr(fitting_module.subprocess, "Popen", begin)
    page.refused("POST", "/api/fit", 409, json={"time": "5s"})
    assert asked[0][asked[0].index("--bands") + 1] == "4,3,2"


TELLS = """
import os, sys, time
print("checking", sys.argv[2:])
print("epoch 1/3, step 4/10, 35%, loss 0.6, 20 s left", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
with open(sys.argv[1], "w") as file:
    print(*sys.argv[2:], os.environ["SAMTAILOR_TELL_EVERY"], file=file)
print("samtailor train: error: out: expected a folder", file=sys.stderr)
sys.exit(2)
"""


def test_nothing_is_known_of_how_far_it_is_before_the_first_step(
    open_page: Opening, pictures: Path, tmp_path: Path
) -> None:
    page = open_page(pictures / "run", pictures / "data")
    table = "import time; print('water 426872 (93%)', flush=True); time.sleep(60)"
    fitting = FitAgain(page.server.project, tmp_path, "tiny-sam", None, [sys.executable, "-c", table])
    fitting.start("5s")
    while "water" not in fitting.describe()["line"]:
        time.sleep(0.02)
    assert fitting.describe()["fraction"] is None
    fitting.close()


def test_the_line_tells_how_far_it_is(open_page: Opening, pictures: Path, tmp_path: Path) -> None:
    page = open_page(pictures / "run", pictures / "data")
    fitting = FitAgain(
        page.server.project, tmp_path, "tiny-sam", None, [sys.executable, "-c", TELLS, str(tmp_path / "go")]
    )
    (tmp_path / "data-fit-1").mkdir()
    fitting.start("5s")
    while "epoch" not in fitting.describe()["line"]:
        time.sleep(0.02)
    found = fitting.describe()
    assert found["line"] == "epoch 1/3, step 4/10, 35%, loss 0.6, 20 s left"
    assert found["fraction"] == 0.35
    assert found["run"] == str(tmp_path / "data-fit-2")  # the first one is somebody's
    (tmp_path / "go").touch()
    while fitting.describe()["state"] == "running":
        time.sleep(0.02)
    assert fitting.describe()["error"] == "out: expected a folder"
    words = f"train {pictures / 'data'} --out {tmp_path / 'data-fit-2'} --time 5s --base tiny-sam --device cpu"
    assert (tmp_path / "go").read_text().split() == [*words.split(), "--prompt_fraction", "0.25", "2"]
    assert fitting.describe()["fraction"] is None
