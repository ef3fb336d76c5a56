"""The command line: light at the door, strict about what it is given, clear about what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import samtailor
from samtailor.cli import COMMANDS, main, parser_of

HEAVY = ("torch", "monai", "lightning", "transformers", "matplotlib", "scipy", "nibabel", "skimage")


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command line says."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, samtailor, samtailor.__main__\n"
        "from samtailor.cli import main, parser_of\n"
        "main(['--help'])\n"
        "main(['completion', 'bash'])\n"  # which makes the parsers of all verbs
        "for name in samtailor.VERBS: parser_of(name).parser().format_help()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_package_is_a_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "samtailor", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"samtailor {samtailor.__version__}\n"


@pytest.mark.parametrize("columns", [60, 80, 300])
def test_help_names_every_verb_and_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= columns for line in text.splitlines())
    words = " ".join(text.split())
    assert all(f"\n  {name} " in text and f"{name} {parser_of(name).summary}" in words for name in samtailor.VERBS)


def test_an_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"expected one of {', '.join(COMMANDS)}; found 'fit'; see" in failure(capsys, "fit")
    assert "found 'trian' (did you mean train?)" in failure(capsys, "trian")
    assert "found 'trian' (did you mean train?)" in failure(capsys, "help", "trian")


def test_help_of_a_verb_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "  tune-bias " in capsys.readouterr().out
    for words in (["help", "help"], ["help", "--help"], ["--help", "--help"], ["-h", "help"]):
        assert main(words) == 0
        assert "  tune-bias " in capsys.readouterr().out
    for words in (["help", "tune-bias"], ["help", "tune_bias"], ["tune_bias", "--help"]):
        with pytest.raises(SystemExit, match="0"):
            main(words)
        assert capsys.readouterr().out.startswith("usage: samtailor tune-bias RUN DATA [options]")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--optm.lr", "1"], "--optm.lr"),
        (["--optim.lrr", "1"], "--optim.lrr"),
        (["--optim.l", "1"], "--optim.l"),  # no abbreviations: they change their meaning with a new flag
        (["--rank", "four"], "rank"),
        (["--rank", "8", "--recipe", "adapter"], "rank: expected with the recipe lora, found it with adapter"),
        (["--recipe", "lorra"], "expected one of lora, adapter, head-only, full"),
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


CONTENTS = {
    "binary": (b"\xff\xfe\0", "UTF-8"),
    "empty": (b"", "an empty file"),
    "a number": (b"5", "found 5"),
    "a tag": (b"epochs: !!python/object/apply:os.getcwd []", "python/object"),
    "digits": (b"epochs: " + b"9" * 5000, "digits"),
    "deep": (b"[" * 20_000, "expected a YAML file"),
}


@pytest.mark.parametrize(("content", "named"), CONTENTS.values(), ids=CONTENTS)
def test_a_damaged_config_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, named: str
) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    message = failure(capsys, "train", "data", "--out", "run", "--config", str(tmp_path / "c.yaml"))
    assert f"{tmp_path / 'c.yaml'}: expected" in message
    assert named in message


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_config_is_utf8_with_or_without_a_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str], mark: str) -> None:
    (tmp_path / "c.yaml").write_text(f"{mark}base: gefäß", encoding="utf-8")
    assert "found 'gefäß'" in failure(capsys, "train", "data", "--out", "run", f"--config={tmp_path / 'c.yaml'}")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("train", "--out", "run"), "DATA"),
        (("train", "data"), "--out OUT"),
        (("evaluate", "run"), "DATA"),
        (("predict", "run", "--out", "o"), "INPUTS"),
        (("predict",), "RUN, INPUTS, --out OUT"),  # as the usage line has them
    ],
)
def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], missing: str) -> None:
    assert f"the following arguments are required: {missing};" in failure(capsys, *arguments)


@pytest.mark.parametrize("spelling", [["--resume", "RUN"], ["--resume=RUN"]])
def test_train_resume_is_the_verb_resume(
    spelling: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("RUN", str(tmp_path)) for word in spelling]
    assert "unrecognized arguments: --rank;" in failure(capsys, "train", *words, "--rank", "3")
    assert f"{tmp_path}: expected a run" in failure(capsys, "train", *words)
    assert f"{tmp_path}: expected a run" in failure(capsys, "resume", str(tmp_path))


def test_models_tells_the_parameters_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--recipe", "head-only", "--classes", "2"]) == 0
    text = capsys.readouterr().out
    assert "lite-medsam" in text
    assert "Apache-2.0" in text
    assert "|   256 |" in text
    assert "classes: expected a whole number from 2 to 10000" in failure(capsys, "models", "--classes", "1")


def test_check_prints_a_table_or_json(nnunet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(nnunet_folder)]) == 0
    assert "6 cases, 0 errors, 0 warnings" in capsys.readouterr().out
    assert main(["check", str(nnunet_folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cases"]) == 6


def test_check_fails_where_training_would(nnunet_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nnunet_folder / "labelsTr" / "case_0.nii.gz").unlink()
    assert main(["check", str(nnunet_folder), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["errors"]


def test_any_result_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--classes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["header"][0] == "base"
