"""Fitting a segmenter to a labelled folder: a new run, or the rest of an interrupted one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from samtailor.errors import ConfigError, DataError, FileError, listed
from samtailor.outputs import require_new, require_place
from samtailor.runs import CrossValidation, Run
from samtailor.settings import AnyPath, Count, checked, takes
from samtailor.training.settings import TrainConfig, seconds_in

if TYPE_CHECKING:
    from samtailor.data.dataset import Dataset
    from samtailor.evaluation.tuning.result import TuningResult
    from samtailor.training.clock import Deadline
    from samtailor.training.fit import Cases
    from samtailor.training.folds import SharedTime

LOG = logging.getLogger("samtailor")


@takes(TrainConfig)
def train(config: TrainConfig) -> Run | CrossValidation:
    """Fit a segmenter to a labelled folder.

    The data is checked first (see `samtailor.check`). An interrupted training is continued by `samtailor.resume`, on
    the command line also with: samtailor train --resume RUN

    Returns:
        The run, whose segmenter is that of the best epoch; `samtailor.load` takes its directory. With `folds` the
        folder of all runs, which it takes as well.

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected; nothing is written then.
    """
    if not config.crosses:
        return train_run(config)
    from samtailor.training.folds import require_begun_alike

    folds = CrossValidation(Path(config.out))
    require_place(folds.directory, data=config.data, is_run=True)
    if folds.is_there:
        require_begun_alike(folds, config)
    else:
        require_new(folds.directory)
    return _train_folds(folds, config)


def _train_folds(folds: CrossValidation, config: TrainConfig) -> CrossValidation:
    """Train what is not trained yet of a cross-validation, one fold after the other."""
    from samtailor.distributed.collectives import connect
    from samtailor.reporting.amounts import in_time
    from samtailor.training.folds import SharedTime, settings_of, write_settings

    if (processes := connect(config.device).size) > 1:
        raise ConfigError(f"folds: expected one process, found {processes}; train each fold by itself, with --fold")
    count = config.folds or folds.count
    shared: SharedTime | None = None
    with _telling_how_to_go_on(folds):
        for fold in range(count):
            run = folds.run(fold)
            LOG.info("%s, %d of %d", run.directory, fold + 1, count)
            if run.is_there:
                resume_run(run)
                continue
            settings = settings_of(folds, config, fold)
            if folds.is_there:  # the first has checked the data
                deadline = shared.deadline(count - fold) if shared else None
                if deadline is not None:  # without one a rehearsal tells
                    LOG.info("Laid out as the first, to end in %s", in_time(deadline.end - monotonic()))
                train_run(settings, is_checked=True, deadline=deadline)
            else:
                shared = SharedTime.of(settings.time, count)
                train_run(settings, begin=partial(write_settings, folds, config), shared=shared)
    return folds


def train_run(
    config: TrainConfig,
    is_checked: bool = False,
    begin: Callable[[], None] | None = None,
    shared: SharedTime | None = None,
    deadline: Deadline | None = None,
) -> Run:
    """Train a new run.

    Args:
        config: Its settings.
        is_checked: Whether the data need not be checked.
        begin: What is written as soon as the run is begun.
        shared: Its time, if it is the first of several runs that share it; it keeps there what it was laid out by.
        deadline: What it is kept to, if its epochs were laid out by the caller instead of by its time.
    """
    from samtailor.data.dataset import open_dataset
    from samtailor.distributed.collectives import connect, raise_on_all_ranks
    from samtailor.models.zoo import weights_files
    from samtailor.training.fit import check_batch, check_surroundings, fingerprint_of, fit, load_cases, new_segmenter
    from samtailor.training.planning import planned
    from samtailor.training.resolve import resolve, scheduled

    run, began = Run(Path(config.out)), monotonic()
    here = connect(config.device)
    with raise_on_all_ranks():  # what needs no look at the data is refused, and fetched, before the data is read
        check_surroundings(config)
        if config.time is not None and here.size > 1:
            raise ConfigError(f"time: expected one process, found {here.size}; lay the training out with --epochs")
        if here.is_first:
            require_place(config.out, data=config.data, is_run=True)
            _require_new(run)
        weights_files(config.base, config.weights)
    if here.size == 1 and (timed := scheduled(config)) != config:
        config = timed
        LOG.info(
            "No schedule is given, and there is no GPU: as with --time %s (--time or --epochs choose another)",
            config.time,
        )
    with raise_on_all_ranks():
        if here.is_first and not is_checked:
            _require_sound(config)
        folder = open_dataset(Path(config.data), *config.selection).with_default_split()
        plan = None
        if config.time is None:
            config = resolve(config, folder)
        else:
            plan = planned(config, folder, began, runs=shared.runs if shared else 1)
            config, deadline = plan.config, plan.deadline
            if shared:
                shared.paces = deadline.paces
        check_batch(config, here)
        model = new_segmenter(config, folder.labels, folder.channel_choice, folder.largest)
    with _telling_how_to_go_on(run), ExitStack() as held:
        cases = load_cases(config, folder)
        if plan is not None:
            config = plan.laid_out()
            LOG.info("%s", plan.told(config))
        with raise_on_all_ranks():
            if here.is_first:
                held.enter_context(run.alone())
                _require_new(run)  # nobody has begun a run there meanwhile
                about: dict[str, Any] = {"root": config.data, "labels": folder.labels.to_json()}
                about |= {"splits": dict(folder.splits), "channels": folder.channels}
                about |= {"fingerprint": fingerprint_of(folder, cases)}
                run.write_dataset(about)
                run.write_config(config.to_plain())
                if begin is not None:
                    begin()
        fit(run, config, model, cases, deadline=deadline)
    _tune(run, config)
    _warn(run)
    return run


@checked
def resume(
    run: AnyPath,
    from_: Literal["last", "best"] = "last",
    epochs: Count | None = None,
    time: str | None = None,
) -> Run | CrossValidation:
    """Continue an interrupted training where it stopped, or make a run longer; a finished one is left as it is.

    A run of another length has the learning rates of that length from there on: the decay begins anew at the rate that
    a training of as many epochs has at that step. What was chosen is written into the run's config.yaml.

    Args:
        run: Directory of the run, or of a cross-validation: its folds are then trained that are not.
        from_: Where it goes on: where it was 'last'; or after the 'best' epoch, whose checkpoint is a second one,
            should the last be damaged. The epochs after the best are then trained again.
        epochs: Passes over the training samples that the run is to have in all, where it was begun with another number.
        time: When the training is to end, from now ('45m', '2h', '90s'): some steps are measured, and the run has as
            many epochs as end in time; they become longer or shorter where the machine's speed changes.

    Returns:
        The finished run, of the length it was begun with with the numbers it would have had without the interruption.

    Raises:
        ConfigError: If the directory is not a run, another process trains in it, or there is no further epoch in that
            number or time; or if folds are to be of other lengths.
        FileError: If a file of the run is damaged.
        DataError: If data, splits or classes are others than when the run began.
    """
    folds = CrossValidation(Path(run))
    if not folds.is_there:
        return resume_run(Run(Path(run)), from_, epochs, time)
    from samtailor.training.folds import going_on

    if from_ != "last" or epochs is not None or time is not None:
        one = quote(str(folds.run(0).directory))
        raise ConfigError(
            f"{run}: expected a run with --from, --epochs or --time, found a cross-validation; name one of its runs: "
            f"samtailor resume {one}"
        )
    return _train_folds(folds, going_on(folds))


def resume_run(
    begun: Run, from_: Literal["last", "best"] = "last", epochs: int | None = None, time: str | None = None
) -> Run:
    """Continue a run, or make it longer (see `resume`)."""
    from samtailor.data.dataset import open_dataset
    from samtailor.distributed.collectives import connect, raise_on_all_ranks
    from samtailor.training.fit import check_batch, check_surroundings, checkpoint_of, fit, load_cases, new_segmenter
    from samtailor.training.resolve import resolve

    began = monotonic()
    has_new_length = epochs is not None or time is not None
    if epochs is not None and time is not None:
        raise ConfigError("epochs: expected either --epochs or --time, found both; leave one of them out")
    if time is not None:
        seconds_in(time)
    config = TrainConfig.from_plain(begun.read_config(), str(begun.config_file))
    deadline = None
    here = connect(config.device)
    with _telling_how_to_go_on(begun), ExitStack() as held:
        with raise_on_all_ranks():
            if here.is_first:
                require_place(begun.directory, is_run=True)
                held.enter_context(begun.alone())
            check_surroundings(config)
            check_batch(config, here)
            if time is not None and here.size > 1:
                raise ConfigError(f"time: expected one process, found {here.size}; take --epochs")
            folder = open_dataset(Path(config.data), *config.selection).with_default_split()
            _require_decided(begun, config, resolve(config, folder))
            cases = load_cases(config, folder)
            _require_same(begun, folder, cases)
            if has_new_length:
                config, deadline = _lengthen(begun, config, folder, from_, epochs, time, began)
        with raise_on_all_ranks():
            if here.is_first and has_new_length:
                begun.write_config(config.to_plain())
                _forget_tuning(begun, config, "bias", "refinement")
        with raise_on_all_ranks():
            is_to_be_trained = has_new_length or not begun.is_finished()
            if not is_to_be_trained and not _left_to_tune(begun, config):
                done = len(begun.history())
                LOG.info(
                    "%s is finished after %d of at most %d epochs; nothing is done (--epochs or --time make it longer)",
                    *(begun.directory, done, config.epochs),
                )
                return begun
            if is_to_be_trained:
                checkpoint = checkpoint_of(begun, from_)
                model = new_segmenter(config, folder.labels, folder.channel_choice, folder.largest)
        if is_to_be_trained:
            fit(begun, config, model, cases, checkpoint, deadline)
    _tune(begun, config)
    _warn(begun)
    return begun


def _lengthen(
    run: Run,
    config: TrainConfig,
    folder: Dataset,
    from_: Literal["last", "best"],
    epochs: int | None,
    time: str | None,
    began: float,
) -> tuple[TrainConfig, Deadline | None]:
    """The config of a run that is to have so many epochs; or as many as end in time, to which it is then kept."""
    from samtailor.training.extension import done_of, epochs_until, extended
    from samtailor.training.fit import checkpoint_of

    rows = run.history() if checkpoint_of(run, from_) else []
    if from_ == "best" and (best := run.best_epoch()):
        rows = [row for row in rows if row["epoch"] <= best["epoch"]]
    deadline = None
    if time is not None:
        epochs, deadline = epochs_until(config, done_of(rows), time, began, folder)
    assert epochs is not None
    changed = extended(config, rows, epochs, folder)
    without = " Patience has run out, and no longer ends it." if changed.patience != config.patience else ""
    LOG.info("%d epochs in all, of which %d are done.%s", epochs, done_of(rows), without)
    return changed, deadline


def _forget_tuning(run: Run, config: TrainConfig, *names: str) -> None:
    """Forget what has been tuned for a segmenter that changes; the bias is tuned without tuned label steps."""
    from samtailor.models.segmenter_model import save_practice
    from samtailor.training.fit import refinement_of

    for name in names:
        is_tuned_again, file = _tunings(run, config)[name]
        if file.exists() and not is_tuned_again:
            LOG.warning(
                "The %s was tuned for the segmenter before: once it is trained, run samtailor tune-%s %s %s again.",
                *(name, name, quote(str(run.directory)), quote(str(config.data))),
            )
        file.unlink(missing_ok=True)
    if (config.tune_bias or config.tune_refinement) and run.segmenter_directory.is_dir():
        save_practice(run.segmenter_directory, refinement=refinement_of(config))


def _tunings(run: Run, config: TrainConfig) -> dict[str, tuple[bool, Path]]:
    """What may be tuned after a training, in order: whether the run's settings want it, and what then is there."""
    return {"bias": (config.tune_bias, run.bias_file), "refinement": (config.tune_refinement, run.refinement_file)}


def _left_to_tune(run: Run, config: TrainConfig) -> list[str]:
    """What is to be tuned of a segmenter whose training has ended, and is not yet, in order."""
    return [name for name, (is_wanted, file) in _tunings(run, config).items() if is_wanted and not file.is_file()]


def _tune(run: Run, config: TrainConfig) -> None:
    """Tune what is left to tune of a segmenter whose training has ended."""
    from samtailor.distributed.world import world
    from samtailor.evaluation.tuning.tune_bias import tune_bias
    from samtailor.evaluation.tuning.tune_refinement import tune_refinement

    if not world().is_first:
        return
    tunings: dict[str, Callable[..., TuningResult]] = {
        "bias": tune_bias,
        "refinement": partial(tune_refinement, candidates=("largest-component",)),
    }
    with _telling_how_to_go_on(run):
        if "bias" in _left_to_tune(run, config):
            _forget_tuning(run, config, "refinement")
        for name in _left_to_tune(run, config):
            tuned = tunings[name](
                run.directory,
                config.data,
                batch_size=config.batch_size,
                device=config.device,
                precision=config.precision,
            )
            LOG.info("%s", tuned.verdict().text)


def _warn(run: Run) -> None:
    """Say what speaks against a training that has ended."""
    from samtailor.distributed.world import world

    if world().is_first and (warning := run.warning):
        LOG.warning("%s", warning)


def _require_new(run: Run) -> None:
    """Refuse a directory that holds something; a run there can be continued."""
    go_on = f", or continue the run with samtailor resume {quote(str(run.directory))}" if run.is_there else ""
    require_new(run.directory, f"name another one{go_on}")


def _require_same(run: Run, folder: Dataset, cases: Cases) -> None:
    """Refuse other data than a run began with."""
    from samtailor.training.fit import fingerprint_of

    if fingerprint_of(folder, cases) != run.read_dataset()["fingerprint"]:
        raise DataError(
            f"{folder.root}: expected the data the run {run.directory} began with, found other images, labels, splits "
            "or classes; restore them, or start a new run"
        )


def _require_decided(run: Run, config: TrainConfig, decided: TrainConfig) -> None:
    """Refuse a run's config that leaves something open, or was cut off: training wrote down all of it."""
    if lost := list(_left_open(run.read_config(), config.to_plain(), decided.to_plain())):
        expected, found = "the settings of a training, all decided", f"none of {listed(lost, 5)}"
        raise FileError(run.config_file, expected, found, "restore the file, or start a new run")


def _left_open(
    written: Mapping[str, Any], read: Mapping[str, Any], decided: Mapping[str, Any], group: str = ""
) -> Iterator[str]:
    """Settings that a file does not name, or leaves to the data; `read` is what was made of it."""
    for name, value in decided.items():
        if name not in written:
            yield f"{group}{name}"
        elif isinstance(value, dict):
            yield from _left_open(written[name], read[name], value, f"{group}{name}.")
        elif read[name] != value and name not in ("data", "weights"):  # a path may be spelt otherwise
            yield f"{group}{name}"


def _require_sound(config: TrainConfig) -> None:
    """Check the data and log what is there; what forbids training is an error."""
    from samtailor.data.check import check

    report = replace(check(config.data, *config.selection), next_step="")  # which is this training
    LOG.log(logging.WARNING if report.warnings or report.errors else logging.INFO, "%s", report)
    if report.errors:
        raise ConfigError(f"{config.data}: the errors above forbid training; fix them, then check with samtailor check")


@contextmanager
def _telling_how_to_go_on(run: Run | CrossValidation) -> Iterator[None]:
    """An interruption of the block says what to do after it."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        again = f"continue with samtailor train --resume {quote(str(run.directory))}"
        raise KeyboardInterrupt(again if run.is_there else "nothing has been written; start again") from interrupt
