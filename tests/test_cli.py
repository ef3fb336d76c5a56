"""The command line: light at the door, strict about what it is given, clear about what is wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtailor.cli.settings import EvaluateConfig, PredictOnDevices
from samtailor.inference.predict_settings import PredictConfig

import samtailor
from samtailor.cli import VERBS, main, parser_of
from samtailor.cli.parsing import parse
from samtailor.errors import ConfigError
from samtailor.training.settings import TrainConfig

HEAVY = ("torch", "monai", "lightning", "transformers", "matplotlib", "scipy", "nibabel", "skimage", "numpy")


def parsed(name: str, *arguments: str) -> Any:
    return parse(parser_of(name, VERBS[name]), VERBS[name].settings, arguments)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command line says."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, samtailor, samtailor.__main__\n"
        "from samtailor.cli import VERBS, main, parser_of\n"
        "main(['--help'])\n"
        "for name, verb in VERBS.items(): parser_of(name, verb).format_help()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_package_is_a_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "samtailor", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"samtailor {samtailor.__version__}\n"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and verb.summary in text for name, verb in VERBS.items())


@pytest.mark.parametrize("name", VERBS)
def test_help_explains_every_setting(name: str) -> None:
    parser = parser_of(name, VERBS[name])
    assert all(action.help for action in parser._actions), [a.dest for a in parser._actions if not a.help]
    text = parser.format_help()
    for field in fields(VERBS[name].settings):
        assert (field.name.upper() if field.name in VERBS[name].words else f"--{field.name}") in text


def test_an_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"expected one of {', '.join(VERBS)}; found 'fit'" in failure(capsys, "fit")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--optm.lr", "1"], "--optm.lr"),
        (["--optim.lrr", "1"], "--optim.lrr"),
        (["--optim.l", "1"], "--optim.l"),  # no abbreviations: they change their meaning with a new flag
        (["--rank", "four"], "rank"),
        (["--recipe", "lorra"], "'lora', 'adapter', 'head-only', 'full'"),
        (["--config"], "--config"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(capsys: pytest.CaptureFixture[str], flags: list[str], named: str) -> None:
    assert named in failure(capsys, "train", "data", "--out", "run", *flags)


@pytest.mark.parametrize(
    ("content", "named"),
    [("rnak: 4", "'rnak'"), ("optim: {lrr: 1}", "'lrr'"), ("rank: four", "rank"), ("loss: [", "parsing")],
)
def test_a_wrong_key_in_a_file_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, named: str
) -> None:
    (tmp_path / "c.yaml").write_text(content)
    assert named in failure(capsys, "train", "data", "--out", "run", "--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("train", "--out", "run"), "data"),
        (("train", "data"), "out"),
        (("evaluate", "run"), "data"),
        (("predict", "run", "--out", "o"), "inputs"),
    ],
)
def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], missing: str) -> None:
    assert f"the following arguments are required: {missing};" in failure(capsys, *arguments)


def test_dotted_flags_reach_the_settings() -> None:
    flags = ["--optim.lr", "3e-4", "--loss.class_weights", "auto", "--sampling.field", "128", "--checkpointing"]
    config = parsed(
        "train", "data", "--out", "run", *flags, "--intensity.kind", "range", "--intensity.values", "[0, 255]"
    )
    assert isinstance(config, TrainConfig)
    assert (config.data, config.out, config.optim.lr) == ("data", "run", 3e-4)
    assert (config.loss.class_weights, config.sampling.field, config.checkpointing) == ("auto", 128, True)
    assert (config.intensity.kind, config.intensity.values) == ("range", (0.0, 255.0))
    assert parsed("train", "data", "--out", "run", "--loss.class_weights", "[1, 50]").loss.class_weights == [1.0, 50.0]
    assert parsed("train", "data", "--out", "run", "--loss.resolution", "full").loss.resolution == "full"


def test_the_command_line_counts_more_than_the_file_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("data: theirs\nout: run\nrank: 8\noptim: {lr: 0.1, clip: 2.0}\n")
    assert parsed("train", "--config", str(file)).data == "theirs"
    before = parsed("train", "--config", str(file), "mine", "--optim.lr", "0.2")
    behind = parsed("train", "mine", "--optim.lr", "0.2", f"--config={file}")
    assert before == behind
    assert (before.data, before.rank, before.optim.lr, before.optim.clip) == ("mine", 8, 0.2, 2.0)


def test_words_of_several_files_come_from_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("run: r\ninputs: [a, b]\nout: o\noverlays: true\n")
    assert parsed("predict", "--config", str(file)) == PredictOnDevices("r", ["a", "b"], "o", overlays=True)
    assert parsed("predict", "r2", "c", "--config", str(file), "--no_overlays") == PredictOnDevices("r2", ["c"], "o")


@pytest.mark.parametrize("name", VERBS)
def test_the_printed_config_gives_the_same_settings(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = VERBS[name].settings
    required = [f.name for f in fields(settings) if f.default is MISSING and f.default_factory is MISSING]
    flags = [part for field in required if field not in VERBS[name].words for part in (f"--{field}", field)]
    words = ["table3" if word == "what" else word for word in VERBS[name].words]
    arguments = [*words, *flags]
    with pytest.raises(SystemExit, match="0"):
        main([name, *arguments, "--print_config"])
    text = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(text)
    assert "config" not in yaml.safe_load(text)
    assert parsed(name, "--config", str(tmp_path / "c.yaml")) == parsed(name, *arguments)


@pytest.mark.parametrize("config", [EvaluateConfig, PredictConfig])
def test_settings_are_those_of_the_library(config: type[Any]) -> None:
    from samtailor.evaluation.evaluate import evaluate
    from samtailor.inference.predict import predict

    function = evaluate if config is EvaluateConfig else predict
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "progress"]
    defaults = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(config)}
    assert {p.name: p.default for p in parameters} == defaults


def test_resume_takes_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments: --rank 3" in failure(capsys, "train", "--resume", str(tmp_path), "--rank", "3")
    assert "expected a run" in failure(capsys, "train", "--resume", str(tmp_path))


def test_models_tells_the_parameters_of_a_recipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["models", "--recipe", "head-only", "--classes", "2"]) == 0
    text = capsys.readouterr().out
    assert "lite-medsam" in text
    assert "Apache-2.0" in text
    assert "|   256 |" in text
    assert "classes: expected at least 2" in failure(capsys, "models", "--classes", "1")


def test_check_prints_a_table_or_json(nnunet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(nnunet_folder)]) == 0
    assert "6 cases, 0 errors, 0 warnings" in capsys.readouterr().out
    assert main(["check", str(nnunet_folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cases"]) == 6


def test_check_fails_where_training_would(nnunet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nnunet_folder / "labelsTr" / "case_0.nii.gz").unlink()
    assert main(["check", str(nnunet_folder), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["errors"]


def test_parse_raises_for_other_programs() -> None:
    with pytest.raises(ConfigError, match="--bla"):
        parsed("check", "data", "--bla", "1")
