"""A plan is made once, goes on after an interruption, and ends in a page that says what it shows."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from samtailor.cli import main
from samtailor.data.formats import read_case
from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.measure import Grid, measure, measure_masks
from samtailor.files import read_json
from samtailor.labels import LabelSpace
from samtailor.models.zoo import Base
from samtailor.reproduction.cells import MAIN, Fit
from samtailor.reproduction.definition import UPPER_BOUND
from samtailor.reproduction.plan import lay_out
from samtailor.reproduction.reproduce import reproduce
from samtailor.reproduction.scoring import read_saved
from samtailor.reproduction.settings import ReproduceConfig
from samtailor.runs import Run
from tests.generate import write_json
from tests.reproduction import miniatures


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Miniatures and schedule in one folder."""
    root = tmp_path_factory.mktemp("experiments")
    miniatures.gid5(root / "gid5")
    miniatures.btcv(root / "btcv")
    miniatures.schedule(root / "settings.yaml")
    return root


def config(place: Path, base: Base, columns: list[str], **settings: object) -> ReproduceConfig:
    """Table 5 on the miniature."""
    given = {"what": "table5", "data": str(place / "gid5"), "out": str(place / "out"), **settings}
    own = str(place / "settings.yaml")
    return ReproduceConfig(base=base.name, columns=columns, settings=own, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(place: Path, tiny_base: Base) -> Path:
    """The page of a small table 5: zero-shot, and LoRA with two seeds."""
    page = reproduce(**vars(config(place, tiny_base, ["sam", "lora-4"], seeds=[0, 1]))).page
    assert page is not None
    return page


def times(folder: Path, pattern: str) -> dict[Path, int]:
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob(pattern))}


def test_each_cell_is_a_normal_run(page: Path, place: Path) -> None:
    for seed in (0, 1):
        run = place / "out" / "lora-4" / f"seed-{seed}"
        assert (run / "segmenter" / "segmenter.json").is_file()
        assert (run / "evaluation" / "test" / "metrics.json").is_file()
        assert (run / "evaluation" / "test-remote-sensing" / "metrics.json").is_file()
        assert len(list((run / "evaluation" / "test" / "predictions").iterdir())) == 2
    assert (place / "out" / "oracle" / "seed-0" / "metrics.json").is_file()


def test_the_page_shows_the_report_beside_ours(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# Table 5 of the report, measured again with tiny-sam (the report: sam-vit-b on GID")
    for published in ("0.1059", "0.8367", "0.6646", "0.5478", "0.4080", "+0.1398"):
        assert published in text
    assert "Mean ± standard deviation over the seeds 0, 1" in text
    assert re.search(r"built-up \('Buildings'\) .*\d ± \d", text)
    assert "mean F1" in text
    assert "SAM LoRA (r=4), tiny-sam, seed 1" in text  # parameters and wall time
    assert "76,299" in text


def test_zero_shot_is_called_an_upper_bound_everywhere(page: Path) -> None:
    text = page.read_text()
    for table in [
        line for line in text.splitlines() if line.startswith("| class") and re.search(r"\| +SAM[, (]", line)
    ]:
        assert UPPER_BOUND in table
    captions = [line for line in text.splitlines() if line.startswith("![")]
    assert captions
    assert all(UPPER_BOUND in caption and (page.parent / caption.split("](")[1][:-1]).is_file() for caption in captions)


def test_the_html_page_is_whole(page: Path) -> None:
    html = page.with_suffix(".html").read_text()
    assert html.count("data:image/png;base64,") == page.read_text().count("![")
    assert UPPER_BOUND in html
    assert "0.5478" in html


def test_nothing_is_done_twice(page: Path, place: Path, tiny_base: Base) -> None:
    kinds = ("*.ckpt", "metrics.json", "slices.csv", "tile_*.png", "weights.safetensors")
    before = {kind: times(place / "out", kind) for kind in kinds}
    assert all(before.values())
    reproduce(**vars(config(place, tiny_base, ["sam", "lora-4"], seeds=[0, 1])))
    assert {kind: times(place / "out", kind) for kind in kinds} == before


def test_what_is_finished_counts_wherever_the_data_lie(
    page: Path, place: Path, tiny_base: Base, tmp_path: Path
) -> None:
    shutil.copytree(place, tmp_path / "moved", symlinks=True)
    plan = lay_out(config(tmp_path / "moved", tiny_base, ["sam", "lora-4"], seeds=[0, 1]))
    assert [cell.state() for cell in plan.all_cells()] == ["done"] * 3


def test_an_interrupted_cell_is_resumed(page: Path, place: Path, tiny_base: Base, tmp_path: Path) -> None:
    plan = lay_out(config(place, tiny_base, ["lora-4"], out=str(tmp_path)))
    (cell,) = plan.fits
    assert cell.state() == "missing"
    cell.run.write_config(cell.config.to_plain())  # as a training leaves it that is killed in its first epoch
    cell.run.write_dataset(Run(place / "out" / "lora-4" / "seed-0").read_dataset())
    assert cell.state() == "interrupted"
    plan.make()
    assert cell.state() == "done"
    with (place / "out" / "lora-4" / "seed-0" / "metrics.csv").open() as stream:
        expected = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert [row["loss"] for row in cell.run.history()] == expected


def test_a_cell_of_an_older_version_is_taken_as_it_is(page: Path, place: Path, tiny_base: Base) -> None:
    (cell,) = lay_out(config(place, tiny_base, ["lora-4"])).fits
    written = cell.run.read_config()
    cell.run.write_config({name: value for name, value in written.items() if name not in ("denoise", "refine")})
    assert cell.state() == "done"
    cell.run.write_config(written)


def test_a_training_that_another_process_is_at_is_left_alone(
    page: Path, place: Path, tiny_base: Base, tmp_path: Path
) -> None:
    plan = lay_out(config(place, tiny_base, ["lora-4"], out=str(tmp_path)))
    (cell,) = plan.fits
    cell.run.write_config(cell.config.to_plain())
    cell.run.write_dataset(Run(place / "out" / "lora-4" / "seed-0").read_dataset())
    with cell.run.alone(), pytest.raises(ConfigError, match="expected nobody at work there, found another training"):
        plan.make()
    assert cell.state() == "interrupted"


def test_another_training_in_the_place_of_a_cell_is_refused(page: Path, place: Path, tiny_base: Base) -> None:
    other = place / "other.yaml"
    other.write_text((place / "settings.yaml").read_text().replace("epochs: 1", "epochs: 2"))
    wrong = ReproduceConfig(
        "table5",
        str(place / "gid5"),
        tiny_base.name,
        columns=["lora-4"],
        out=str(place / "out"),
        settings=str(other),
    )
    with pytest.raises(ConfigError, match=r"lora-4/seed-0: expected a training.*epochs: expected 2, found 1"):
        reproduce(**vars(wrong))


def test_other_zero_shot_settings_are_refused(page: Path, place: Path, tiny_base: Base) -> None:
    other = place / "more_points.yaml"
    other.write_text((place / "settings.yaml").read_text().replace("points_per_side: 2", "points_per_side: 3"))
    with pytest.raises(ConfigError, match=r"oracle/seed-0.*points_per_side: expected 3, found 2"):
        lay_out(
            ReproduceConfig(
                "table5",
                str(place / "gid5"),
                tiny_base.name,
                columns=["sam"],
                out=str(place / "out"),
                settings=str(other),
            )
        )


def test_other_data_is_refused_before_anything_is_written(place: Path, tiny_base: Base, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected SIRST and its classes for table6, found gid5"):
        reproduce(**vars(config(place, tiny_base, ["sam"], what="table6", out=str(tmp_path / "out"))))
    assert not (tmp_path / "out").exists()


def without_splits(root: Path, cases: int = 6) -> Path:
    """Miniature of GID-5 that names no splits."""
    miniatures.gid5(root, cases)
    content = read_json(root / "dataset.json", dict, "")
    write_json(root / "dataset.json", {name: value for name, value in content.items() if name != "splits"})
    return root


def test_all_columns_and_seeds_share_one_split(place: Path, tiny_base: Base, tmp_path: Path) -> None:
    root = without_splits(tmp_path / "gid5")
    given = config(place, tiny_base, ["sam", "lora-4"], data=str(root), out=str(tmp_path / "out"), seeds=[1, 2])
    reproduce(**vars(given))
    cells = lay_out(given).all_cells()
    assert len(cells) == 3
    scored = [set(read_json(cell.evaluation("test") / "metrics.json", dict, "")["cases"]) for cell in cells]
    assert scored[0] == scored[1] == scored[2]
    fit = cells[-1]
    known = fit.run.read_dataset()
    fit.run.write_dataset(known | {"splits": known["splits"] | {"test": ["tile_9"]}})
    with pytest.raises(ConfigError, match=r"splits.test: expected \['tile_\d'\], found \['tile_9'\]"):
        fit.state()


def test_what_could_not_be_scored_is_not_trained(place: Path, tiny_base: Base, tmp_path: Path) -> None:
    few = without_splits(tmp_path / "few", cases=2)
    unscored = miniatures.gid5(tmp_path / "unscored")
    content = read_json(unscored / "dataset.json", dict, "")
    write_json(unscored / "dataset.json", content | {"splits": {"train": ["tile_0"], "val": ["tile_1"]}})
    for root, message in ((few, "at least 3 cases"), (unscored, "a split 'test'")):
        with pytest.raises(DataError, match=message):
            reproduce(**vars(config(place, tiny_base, ["lora-4"], data=str(root), out=str(tmp_path / "out"))))
    assert not (tmp_path / "out").exists()


def test_zero_shot_masks_are_counted_in_the_same_slices_as_fits(tiny_base: Base, tmp_path: Path) -> None:
    labels = LabelSpace.from_names(("background", "aorta"))
    truth = np.zeros((4, 8, 8), np.int16)
    truth[1:3, 2:5, 2:5] = 1
    prediction = truth.copy()
    prediction[2, 2:5, 2:5] = 0  # in the last slice, where FLARE22 counts no aorta
    grid = Grid.from_spacing((2.0, 1.0, 1.0), 4)
    one = measure_masks("case", truth, {1: prediction == 1}, labels, MAIN, grid)
    other = measure("case", truth[1:3], prediction[1:3], labels, "nnunet")
    assert one.overlap.tp[1] == other.overlap.tp[1]
    assert one.overlap.fn[1] == other.overlap.fn[1] == 9
    root = miniatures.btcv(tmp_path / "btcv")
    (cell,) = lay_out(
        ReproduceConfig("table2", str(root), tiny_base.name, columns=["sam"], out=str(tmp_path / "out"))
    ).zero_shots
    assert cell.config.protocol == MAIN


def test_finished_trains_nothing(page: Path, place: Path, tiny_base: Base, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a finished cell, found none"):
        reproduce(**vars(config(place, tiny_base, ["lora-4"], finished=True, out=str(tmp_path / "none"))))
    assert not (tmp_path / "none").exists()
    text = reproduce(**vars(config(place, tiny_base, ["lora-4", "adapter"], finished=True))).page.read_text()
    assert "Without SAM Adapter: not finished (seed 0)" in text
    assert "One seed (0)" in text
    assert not (place / "out" / "adapter").exists()


def test_a_figure_of_other_data_says_so(place: Path, tiny_base: Base) -> None:
    settings = {"what": "figure5", "data": str(place / "btcv"), "out": str(place / "btcv-out")}
    text = reproduce(**vars(config(place, tiny_base, ["sam", "lora-4"], **settings))).page.read_text()
    assert text.startswith(
        "# Figure 5 of the report, measured again with tiny-sam on BTCV (the report: sam-vit-b on FLARE22)"
    )
    assert "The data is BTCV and not FLARE22" in text
    assert text.index("## Pictures") < text.index("## DSC on split 'val' of BTCV")
    assert "slice 2 of 5" in text or "slice 3 of 5" in text or "slice 4 of 5" in text
    assert "portal and splenic veins" in text


def test_a_margin_is_of_the_same_slices_of_both(place: Path, tiny_base: Base, tmp_path: Path) -> None:
    few = tmp_path / "few.yaml"
    few.write_text((place / "settings.yaml").read_text().replace("baseline:", "baseline:\n  slices: 2"))
    settings = {"what": "figure5", "data": str(place / "btcv"), "out": str(tmp_path / "out"), "settings": str(few)}
    given = ReproduceConfig(base=tiny_base.name, columns=["sam", "lora-4"], **settings)  # type: ignore[arg-type]
    reproduce(**vars(given))
    fit, zero_shot = (*lay_out(given).fits, *lay_out(given).zero_shots)
    tried = zero_shot.slices()
    assert sum(map(len, tried.values())) == 2
    scored = read_json(fit.evaluation("val") / "on-oracle" / "metrics.json", dict, "")
    assert scored["source"]["slices"] == tried
    dataset = lay_out(given).dataset
    for file in dataset.split("val"):
        truth = read_case(file, dataset.labels).label
        prediction = read_saved(fit.predictions("val"), file, dataset)
        chosen = tried[file.name]
        for k, name in enumerate(dataset.labels.names):
            counts = scored["cases"][file.name][name]
            assert counts["truth_voxels"] == (truth[chosen] == k).sum()
            assert counts["predicted_voxels"] == (prediction[chosen] == k).sum()


def test_the_cells_are_listed_first(
    page: Path, place: Path, tiny_base: Base, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reproduce", "table5", "--data", str(place / "gid5"), "--base", tiny_base.name, "--seeds", "0", "2"]
    arguments += ["--settings", str(place / "settings.yaml"), "--out", str(place / "out"), "--dry_run"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"lora-4/seed-0 .* done ", printed)
    assert re.search(r"lora-4/seed-2 .* missing ", printed)
    assert "trainings to do: 3" in printed
    assert "Without SAM2: no base of SAM 2 was named (--base2 sam2.1-hiera-large)" in printed
    assert not (place / "out" / "adapter").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table5"], "data: expected --data with a folder of GID"),
        (["table5", "--data", "{gid5}", "--seeds", "1", "1"], "seeds: expected different numbers"),
        (["table5", "--data", "{gid5}", "--columns", "sam3"], "columns: expected sam, sam2, adapter"),
        (
            ["table5", "--data", "{gid5}", "--base2", "lite-medsam"],
            "base2: expected a base of SAM 2, found lite-med",
        ),
        (["table9"], "table1"),
    ],
)
def test_mistakes_are_answered_before_anything_happens(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    filled = [argument.format(gid5=place / "gid5") for argument in arguments]
    assert main(["reproduce", *filled, "--out", str(place / "nowhere")]) == 2
    assert message in capsys.readouterr().err
    assert not (place / "nowhere").exists()


def test_a_fit_knows_how_far_it_is(place: Path, tiny_base: Base) -> None:
    (cell,) = lay_out(config(place, tiny_base, ["adapter"])).fits
    assert isinstance(cell, Fit)
    assert cell.detail() == "1 epoch to train"
    assert cell.seconds == 0
