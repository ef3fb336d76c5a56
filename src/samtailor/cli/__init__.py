"""The command line: one verb per task; parse, call, print.

Nothing heavy is imported before a verb runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import samtailor
from samtailor.cli import baseline_verb, reproduce_verb, verbs
from samtailor.cli.settings import (
    CheckConfig,
    DemoConfig,
    Devices,
    EstimateConfig,
    EvaluateConfig,
    ModelsConfig,
    PredictOnDevices,
    ResumeConfig,
    ShareConfig,
    TrainOnDevices,
)
from samtailor.distributed.world import world
from samtailor.errors import ConfigError, SamTailorError, SharedError
from samtailor.evaluation.comparison.settings import CompareConfig
from samtailor.evaluation.score_settings import ScoreConfig
from samtailor.reproduction.settings import ReproduceConfig
from samtailor.zeroshot.settings import BaselineConfig

FAILED = 2
"""Exit code where the user has to fix something and nothing was done."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


@dataclass(frozen=True)
class Verb:
    """A task of the command line.

    Attributes:
        summary: What it does.
        settings: Dataclass of its settings.
        words: Settings that are given by position.
        run: Does it and returns the exit code.
        note: Further help.
    """

    summary: str
    settings: type[Any]
    words: tuple[str, ...]
    run: Callable[[Any], int]
    note: str = ""


VERBS: dict[str, Verb] = {
    "check": Verb(
        "Find everything in a labelled folder that would spoil a training.", CheckConfig, ("data",), verbs.check
    ),
    "estimate": Verb(
        "Measure how much memory and time a training takes here, and what would make it fit.",
        EstimateConfig,
        ("data",),
        verbs.estimate,
        "It takes the flags of train, so that it can stand in its place.",
    ),
    "train": Verb(
        "Fit a segmenter to a labelled folder.",
        TrainOnDevices,
        ("data",),
        verbs.train,
        "An interrupted training is continued with: samtailor train --resume RUN",
    ),
    "evaluate": Verb("Score a run on a split of a labelled folder.", EvaluateConfig, ("run", "data"), verbs.evaluate),
    "compare": Verb(
        "Compare results on the same cases: differences, intervals, tests.", CompareConfig, ("results",), verbs.compare
    ),
    "baseline": Verb(
        "Score what a base model finds without fitting: an upper bound that uses the ground truth.",
        BaselineConfig,
        ("data",),
        baseline_verb.baseline,
        "An interrupted baseline goes on when it is started again with the same --out.",
    ),
    "score": Verb("Score saved masks, ours or another tool's.", ScoreConfig, ("predictions", "labels"), verbs.score),
    "predict": Verb("Segment volumes and pictures.", PredictOnDevices, ("run", "inputs"), verbs.predict),
    "models": Verb("List the base models.", ModelsConfig, (), verbs.models),
    "share": Verb("Write a segmenter for others, with a model card.", ShareConfig, ("run",), verbs.share),
    "reproduce": Verb(
        "Measure a table or figure of the report again.",
        ReproduceConfig,
        ("what",),
        reproduce_verb.reproduce,
        "What is finished is kept: the same command goes on after an interruption.",
    ),
    "demo": Verb("Try everything on a synthetic abdominal CT.", DemoConfig, (), verbs.demo),
}

_RESUME = Verb("Continue an interrupted training.", ResumeConfig, (), verbs.resume)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: What follows 'samtailor'; that of the process if None.

    Returns:
        0: done. 1: done, but for the inputs that are listed. 2: something has to be fixed, nothing was done.
        130: interrupted.
    """
    match list(sys.argv[1:] if arguments is None else arguments):
        case [] | ["-h" | "--help", *_]:
            print(_overview())
        case ["--version", *_]:
            print(f"samtailor {samtailor.__version__}")
        case [name, *rest] if name in VERBS:
            return _run(name, rest)
        case [name, *_]:
            print(f"samtailor: error: expected one of {', '.join(VERBS)}; found '{name}'", file=sys.stderr)
            return FAILED
    return 0


def _run(name: str, arguments: list[str]) -> int:
    """Run a verb and translate its errors into messages and exit codes."""
    from samtailor.cli.parsing import parse
    from samtailor.distributed.launch import launch, must_launch

    resumes = name == "train" and any(argument.split("=")[0] == "--resume" for argument in arguments)
    verb = _RESUME if resumes else VERBS[name]
    try:
        config = parse(parser_of(name, verb), verb.settings, arguments)
        if not isinstance(config, Devices):
            _require_one_process()
        elif must_launch(config.devices):
            return launch(config.devices, [name, *arguments])
        return verb.run(config)
    except SamTailorError as error:
        if world().is_first or not isinstance(error, SharedError):
            print(f"samtailor {name}: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as interrupt:
        hint = f": {interrupt}" if interrupt.args else ""
        print(f"\nsamtailor {name}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED


def _require_one_process() -> None:
    """Refuse to do the same several times.

    Raises:
        ConfigError: If torchrun or SLURM has started several processes.
    """
    if (here := world()).size > 1:
        raise ConfigError(
            f"expected one process, found {here.size} of {here.launcher}; only train and predict share work"
        )


def parser_of(name: str, verb: Verb) -> Any:
    """Parser of a verb (`jsonargparse.ArgumentParser`)."""
    from samtailor.cli.parsing import make_parser

    return make_parser(name, verb.summary, verb.settings, verb.words, verb.note)


def _overview() -> str:
    """Help of the command line as a whole."""
    lines = [f"  {name:<10}{verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: samtailor VERB [options]",
            "",
            "Fit Segment Anything models to your own classes: a labelled folder in, a segmenter and masks out.",
            "",
            *lines,
            "",
            "samtailor VERB --help tells more; samtailor --version tells the version.",
        ]
    )
