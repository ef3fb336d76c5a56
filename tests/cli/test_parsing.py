"""A verb is one function: the command line, the YAML file and Python take the same settings with the same defaults."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import samtailor
from samtailor.cli import main, parser_of
from samtailor.cli.parsing import Call
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.errors import ConfigError
from samtailor.training.settings import TrainConfig

LORA_SETTINGS = ("rank", "dora", "rslora", "alpha", "last_blocks", "layers", "norms")
RECIPE_SETTINGS = ("recipe", *LORA_SETTINGS, "reduction", "scale", "depth")
OF_THE_COMMAND_LINE = ("help", "config", "print_config", "json", "devices")


def parsed(name: str, *arguments: str) -> Call:
    return parser_of(name).parse(arguments)


def words_of(name: str) -> list[str]:
    """The settings of a verb that come by position."""
    return [setting.name for setting in parser_of(name).settings if setting.is_word]


def required(name: str) -> list[str]:
    """The shortest command line of a verb: every setting without default."""
    words = ["table3" if word == "what" else word for word in words_of(name)]
    is_out_required = any(s.name == "out" and s.is_required for s in parser_of(name).settings)
    return [*words, *(["--out", "out"] if is_out_required else [])]


def function_of(name: str) -> Any:
    """The public function that a verb is."""
    return getattr(samtailor, samtailor.VERBS[name].rpartition(".")[2])


@pytest.mark.parametrize("name", samtailor.VERBS)
class TestEveryVerb:
    def test_help_explains_every_parameter_of_the_function(self, name: str) -> None:
        verb = parser_of(name)
        text = verb.parser().format_help()
        for parameter in inspect.signature(function_of(name)).parameters.values():
            kind = next(s.kind for s in verb.settings if s.name == parameter.name)
            dotted = [f"--{parameter.name}.{f.name}" for f in fields(kind)] if is_dataclass(kind) else []
            names = dotted or [f"--{parameter.name.rstrip('_')}"]
            assert all((n in text) or parameter.name.upper() in text for n in names)
        assert all(action.help for action in verb.parser()._actions)
        assert " | null" not in text
        assert "type: " not in text
        assert not re.search(r"--[\w.]+\+", text)

    def test_a_command_line_without_flags_is_a_call_without_settings(self, name: str) -> None:
        call = parsed(name, *required(name))
        signature = inspect.signature(function_of(name))
        words = words_of(name)
        given = {
            n: v
            for n, v in call.settings.items()
            if n in words or signature.parameters[n].default is inspect.Parameter.empty
        }
        left = {n: v for n, v in call.settings.items() if n not in given}
        assert signature.bind(**call.settings)
        for setting, value in left.items():
            default = signature.parameters[setting].default
            assert value == (list(default) if isinstance(default, tuple) else default), setting

    def test_the_command_line_has_no_setting_of_its_own(self, name: str) -> None:
        verb = parser_of(name)
        flags = {re.split("[.:]", action.dest)[0] for action in verb.parser()._actions} - set(OF_THE_COMMAND_LINE)
        parameters = {parameter.rstrip("_") for parameter in inspect.signature(function_of(name)).parameters}
        assert flags - set(RECIPE_SETTINGS) == parameters - {"recipe"}
        assert ("recipe" in flags) == ("recipe" in parameters)

    def test_the_printed_config_gives_the_same_settings(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="0"):
            main([name, *required(name), "--print_config"])
        text = capsys.readouterr().out
        (tmp_path / "c.yaml").write_text(text)
        assert "config" not in yaml.safe_load(text)
        assert parsed(name, "--config", str(tmp_path / "c.yaml")).settings == parsed(name, *required(name)).settings

    def test_the_function_documents_what_the_help_says(self, name: str) -> None:
        documentation = inspect.getdoc(function_of(name)) or ""
        for setting in parser_of(name).settings:
            assert f"{setting.name}: " in documentation
            assert setting.help


def test_every_public_name_can_be_had() -> None:
    assert sorted(samtailor.__all__) == sorted(n for n in dir(samtailor) if not n.startswith("_"))
    for name in samtailor.__all__:
        assert getattr(samtailor, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        samtailor.fit  # type: ignore[attr-defined]  # noqa: B018


def test_dotted_flags_reach_the_settings() -> None:
    flags = ["--optim.lr", "3e-4", "--loss.class_weights", "auto", "--sampling.field", "128", "--checkpointing"]
    more = ["--intensity.kind", "range", "--intensity.values", "[0, 255]", "--recipe", "lora", "--rank", "8", "--dora"]
    settings = parsed("train", "data", "--out", "run", *flags, *more).settings
    assert (settings["data"], settings["out"], settings["optim"].lr) == ("data", "run", 3e-4)
    assert settings["recipe"] == samtailor.LoRA(rank=8, dora=True)
    assert settings["checkpointing"] is True
    assert (settings["loss"].class_weights, settings["sampling"].field) == ("auto", 128)
    assert (settings["intensity"].kind, settings["intensity"].values) == ("range", (0.0, 255.0))
    weights: Any = parsed("train", "data", "--out", "run", "--loss.class_weights", "[1, 50]").settings["loss"]
    assert weights.class_weights == [1.0, 50.0]
    lengths: Any = parsed("train", "data", "--out", "run", "--sampling.per_epoch", "[4, 8]").settings["sampling"]
    assert lengths.per_epoch == [4, 8]


def test_the_command_line_counts_more_than_the_file_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("data: theirs\nout: run\nrecipe: lora\nrank: 8\noptim: {lr: 0.1, clip: 2.0}\n")
    assert parsed("train", "--config", str(file)).settings["data"] == "theirs"
    before = parsed("train", "--config", str(file), "mine", "--optim.lr", "0.2").settings
    behind = parsed("train", "mine", "--optim.lr", "0.2", f"--config={file}").settings
    assert before == behind
    assert (before["data"], before["recipe"].rank) == ("mine", 8)
    assert (before["optim"].lr, before["optim"].clip) == (0.2, 2.0)


def test_words_of_several_files_come_from_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("run: r\ninputs: [a, b]\nout: o\noverlays: true\n")
    found = parsed("predict", "--config", str(file)).settings
    assert (found["run"], found["inputs"], found["overlays"]) == ("r", ["a", "b"], True)
    found = parsed("predict", "r2", "c", "--config", str(file), "--no_overlays").settings
    assert (found["run"], found["inputs"], found["overlays"]) == ("r2", ["c"], False)


@pytest.mark.parametrize("value", ["", " null", " 96", " [1]", " none"])
def test_a_group_of_settings_in_a_file_has_names(value: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"data: d\nout: o\naugment:{value}\n")
    found = value.strip() if value.strip() not in ("", "null") else "nothing"
    with pytest.raises(ConfigError, match=rf"c\.yaml: augment: expected settings by name, found '?{re.escape(found)}"):
        parsed("train", "--config", str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch_sise: 2", r"found 'batch_sise' \(did you mean batch_size\?\)"),
        ("optim.lrr: 2", r"found 'optim\.lrr' \(did you mean optim\.lr\?\)"),
        ("refine.crf.iteration: 2", r"found 'refine\.crf\.iteration' \(did you mean refine\.crf\.iterations\?\)"),
        ("optim: {lrr: 2}", r"found 'lrr' in optim \(did you mean lr\?\)"),
        ("xyzzy: 2", "found 'xyzzy'"),
    ],
)
def test_unknown_names_in_a_file_are_refused_with_the_one_that_was_meant(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(f"data: d\nout: o\n{content}\n")
    with pytest.raises(ConfigError, match=message):
        parsed("train", "--config", str(tmp_path / "c.yaml"))


def test_names_in_a_file_may_have_dashes_and_one_value_is_a_list_of_it(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("run: r\ninputs: a.png\nout: o\nbatch-size: 3\n")
    found = parsed("predict", "--config", str(file)).settings
    assert (found["inputs"], found["batch_size"]) == (["a.png"], 3)
    file.write_text("data: d\nout: o\noptim: {weight-decay: 0.5}\n")
    assert parsed("train", "--config", str(file)).settings["optim"].weight_decay == 0.5


def test_a_line_of_a_file_may_name_a_setting_as_its_flag_does(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    lines = (
        "optim.weight-decay: 0.5",
        "optim: {lr: 0.1}",
        "optim.clip: 2.0",
        "refine: crf",
        "refine.crf.iterations: 3",
    )
    file.write_text("\n".join(lines))
    found = parsed("train", *required("train"), "--config", str(file)).settings
    assert (found["optim"].weight_decay, found["optim"].lr, found["optim"].clip) == (0.5, 0.1, 2.0)
    assert [step.iterations for step in found["refine"]] == [3]
    found = parsed("train", *required("train"), f"--config={file}", "--refine.crf.iterations", "4").settings
    assert [step.iterations for step in found["refine"]] == [4]
    file.write_text("refine.crf.iterations: many\n")
    with pytest.raises(ConfigError, match=r"^refine\.crf\.iterations: expected .* found many"):
        parsed("train", *required("train"), "--config", str(file))


def test_a_text_in_a_file_that_looks_like_a_number_stays_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("data: 1e-3\nout: 2E5\noptim: {lr: 3e-4}\n")
    found = parsed("train", "--config", str(file)).settings
    assert (found["data"], found["out"], found["optim"].lr) == ("1e-3", "2E5", 3e-4)


def test_only_verbs_that_share_work_take_devices() -> None:
    assert parsed("train", "data", "--out", "run", "--devices", "2").devices == 2
    with pytest.raises(ConfigError, match="--devices"):
        parsed("evaluate", "run", "data", "--devices", "2")


def test_usual_settings_come_before_rarely_used_ones() -> None:
    text = parser_of("train").parser().format_help()
    assert text.index("--epochs") < text.index("rarely used") < text.index("--checkpointing")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--recipe lorra", "recipe: expected one of lora, adapter, head-only, full; found lorra (did you mean lora?)"),
        ("--rank 2.5", "rank: expected a whole number from 1 to 4096; found 2.5"),
        ("--epochs many", "epochs: expected a whole number from 1 to 1000000; found many"),
        ("--optim.lr x", "optim.lr: expected a number above 0; found x"),
        ("--device gpu", "device: expected one of auto, cpu, cuda; found gpu"),
        ("--sampling.field [1,2]", "sampling.field: expected a whole number from 8 to 1000000 or 'auto'; found [1, 2]"),
    ],
)
def test_a_value_of_another_type_is_told_in_one_line(flags: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed("train", "data", "--out", "run", *flags.split())
    assert str(refused.value) == f"{message}; see samtailor train --help"


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--outt", "--out"),
        ("--batchsize", "--batch_size"),
        ("--sampling.image-siz", "--sampling.image_size"),
        ("--image-size", "--sampling.image_size"),  # by its own name
        ("--lr", "--optim.lr"),
        ("--xyz", None),
    ],
)
def test_an_unknown_flag_is_told_with_the_one_that_was_meant(flag: str, meant: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed("train", "data", "--out", "run", flag, "3")
    question = f" (did you mean {meant}?)" if meant else ""
    assert str(refused.value) == f"unrecognized arguments: {flag}{question}; see samtailor train --help"


def test_flags_may_be_spelt_with_dashes() -> None:
    dashes = ["--batch-size", "3", "--sampling.image-size=64", "--head-epochs", "0", "--refine", "level-set"]
    underscores = ["--batch_size", "3", "--sampling.image_size=64", "--head_epochs", "0", "--refine", "level-set"]
    found = parsed("train", "data", "-o", "my_run", *dashes, "--refine.level_set.iterations", "4").settings
    assert found == parsed("train", "data", "--out", "my_run", *underscores, "--refine.level-set.iterations=4").settings
    assert (found["batch_size"], found["sampling"].image_size, found["out"]) == (3, 64, "my_run")
    assert parsed("predict", "r", "i", "-o", "o", "--no-overlays").settings["overlays"] is False


def test_only_the_name_of_a_flag_is_spelt_anew() -> None:
    found = parsed("predict", "--out=--batch-size", "r", "--", "--batch-size").settings
    assert (found["out"], found["run"], found["inputs"]) == ("--batch-size", "r", ["--batch-size"])


@pytest.mark.parametrize(
    "line",
    [
        "r a b --out o --overlays --batch_size 2",
        "r --out o a b --overlays --batch_size 2",
        "r --overlays a --batch_size=2 b -o o",
        "--batch-size 2 --overlays -o o r a b",
        "--overlays r a --batch_size 2 -o=o b",
        "-o o --overlays --batch_size 2 -- r a b",
    ],
)
def test_words_and_flags_come_in_any_order(line: str) -> None:
    found = parsed("predict", *line.split()).settings
    assert (found["run"], found["inputs"], found["out"]) == ("r", ["a", "b"], "o")
    assert (found["overlays"], found["batch_size"]) == (True, 2)


def test_a_flag_with_several_words_takes_those_behind_it_and_numbers_may_be_negative() -> None:
    found = parsed("compare", "a", "--names", "x", "y", "--metric", "iou", "b").settings
    assert (found["results"], found["names"]) == (["a", "b"], ["x", "y"])
    assert parsed("compare", "a", "b", "--names", "x", "y").settings["results"] == ["a", "b"]
    assert parsed("train", "d", "-o", "o", "--intensity.values", "[-160, 240]").settings["intensity"].values[0] == -160
    with pytest.raises(ConfigError, match=r"optim.lr: .* found -1"):
        parsed("train", "--optim.lr", "-1", "d", "-o", "o")


def test_the_value_of_a_flag_may_have_spaces(tmp_path: Path) -> None:
    found = parsed("predict", "run", "--out=my folder", "a.nii", "b c.nii").settings
    assert (found["run"], found["out"], found["inputs"]) == ("run", "my folder", ["a.nii", "b c.nii"])


def test_values_by_name_are_given_one_by_one_or_in_a_file(tmp_path: Path) -> None:
    line = ["r", "--threshold", "liver=0.7", "i", "-o", "o", "--threshold=left kidney=.5"]
    expected = {"liver": 0.7, "left kidney": 0.5}
    assert parsed("predict", *line).settings["threshold"] == expected
    assert parsed("predict", *line).settings["inputs"] == ["i"]
    file = tmp_path / "c.yaml"
    file.write_text("threshold: {liver: 0.7, left kidney: 0.5}")
    assert parsed("predict", "r", "i", "-o", "o", f"--config={file}").settings["threshold"] == expected
    for value, message in (
        ("0.7", "--threshold: expected NAME=X, found 0.7"),
        ("liver=[", "by name a number"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            parsed("predict", "r", "i", "-o", "o", "--threshold", value)


def test_a_word_that_python_keeps_is_told_by_its_flag() -> None:
    with pytest.raises(ConfigError, match=r"^from: expected one of last, best; found first;"):
        parsed("resume", "run", "--from", "first")


def test_a_step_takes_its_own_settings() -> None:
    call = parsed("train", *required("train"), "--denoise", "gaussian", "--denoise.sigma", "2.5")
    assert call.settings["denoise"] == (GaussianDenoising(2.5),)
    config = TrainConfig(**call.settings)
    assert config.to_plain()["denoise"] == [{"kind": "gaussian", "sigma": 2.5}]
    assert TrainConfig.from_plain(config.to_plain(), "config") == config


def test_a_file_may_spell_steps_out(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("denoise:\n- kind: gaussian\n  sigma: 3\n")
    call = parsed("train", *required("train"), "--config", str(file))
    assert TrainConfig(**call.settings).denoise == (GaussianDenoising(3),)


def test_the_setting_of_a_step_that_is_not_chosen_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"denoise.sigma: expected with gaussian .* in --denoise, found it with 'none'"
    ):
        parsed("train", *required("train"), "--denoise.sigma", "2")
