"""What is compared: each method fits in a job's time, and scores what it has saved by SamTailor's own evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.accuracy import peer_training
from benchmarks.accuracy.job import Job
from benchmarks.accuracy.peers import DYNUNET, DYNUNET_HALF, SEGFORMER, UNET, UNET_HALF, Peer
from samtailor.cli import parser_of
from samtailor.data.cache import SliceCache
from samtailor.errors import ConfigError, not_one_of
from samtailor.evaluation.cases import cases_of_split, cases_with
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.predictions import score_and_write
from samtailor.evaluation.scores import Scores
from samtailor.memory import available_memory
from samtailor.models.zoo import find_base
from samtailor.recipes import LoRA
from samtailor.runs import Run
from samtailor.training.estimate_report import HEADROOM
from samtailor.training.estimation import look, phases_of, sampled
from samtailor.training.measure import measure_apart
from samtailor.training.planning import EPOCHS, USED, deadline_of
from samtailor.training.resolve import preprocessing_of, resolve
from samtailor.training.settings import SamplingConfig, TrainConfig
from samtailor.training.train import train, train_run


@dataclass(frozen=True)
class Method:
    """What fits a segmenter.

    Attributes:
        title: What it is, in words.
        fit: Fits in the time of a job and saves it; gives what is worth knowing of the fit.
        score: Scores what was saved, on the cases of the job's split.
    """

    title: str
    fit: Callable[[Job], dict[str, Any]]
    score: Callable[[Job], Scores]


def fit_ours(job: Job, **settings: Any) -> dict[str, Any]:
    """`samtailor train DATA --time`, nothing else set but what is given."""
    return _facts(train(**vars(_config(job, time=f"{job.seconds:.3f}s", **settings))))


def fit_report(job: Job) -> dict[str, Any]:
    """The report's recipe: LoRA r=4 on queries and values at the base's own size, validated once, at the end.

    Steps are measured first, and as many samples laid out as end in time; between epochs, which are short enough for
    that, the training is kept to its time as `train --time` is.

    Raises:
        ConfigError: If a step does not fit into memory.
    """
    until = time.monotonic() + job.seconds
    sampling = SamplingConfig(image_size=find_base(job.base).image_size, field=None)
    config = _config(job, recipe=LoRA(rank=4), sampling=sampling, epochs=1)
    resolved = resolve(config, job.folder)
    limit = int(HEADROOM * available_memory())
    workload, measured = look(resolved, job.folder, sampled(resolved, job.folder), measure_apart, limit)
    phases = phases_of(resolved, workload, measured)
    if phases is None:
        raise ConfigError(f"report: expected memory for a step, found {limit / 1e9:.1f} GB; leave the method out")
    (phase,) = phases
    for split in ("train", "val"):  # so that what it takes is known; training finds them
        list(map(slices_of(job).load, job.folder.split(split)))
    samples = phase.samples_in(USED * (until - time.monotonic()) - phase.validating)
    steps = max(1, int(samples / config.batch_size))
    epochs = min(steps, max(EPOCHS, int(samples / workload.samples)))
    sampling = replace(sampling, per_epoch=steps // epochs * config.batch_size)
    laid_out = replace(config, sampling=sampling, epochs=epochs, validate_every=epochs)
    return _facts(train_run(laid_out, deadline=deadline_of((phase,), until, job.seconds)))


def _config(job: Job, **settings: Any) -> TrainConfig:
    return TrainConfig(
        data=job.folder.root, out=job.out / "run", base=job.base, seed=job.seed, device=job.device, **settings
    )


def _facts(run: Run) -> dict[str, Any]:
    """What is worth knowing of a training."""
    written, history = TrainConfig.from_plain(run.read_config(), str(run.config_file)), run.history()
    per_epoch = written.sampling.per_epoch
    return {
        "image_size": written.sampling.image_size,
        "epochs": written.epochs,
        "samples": sum(per_epoch) if isinstance(per_epoch, list) else written.epoch_count * (per_epoch or 0),
        "loss": [history[0]["loss"], history[-1]["loss"]],
    }


def score_run(job: Job) -> Scores:
    """`samtailor evaluate` of the run."""
    protocol = job.folder.protocol
    out = job.out / "scores"
    return evaluate(job.out / "run", job.folder.root, job.split, out, protocol, device=job.device, overwrite=True)


def fit_peer(peer: Peer, job: Job) -> dict[str, Any]:
    """A network from random weights, on the slices that SamTailor's own methods see."""
    until = time.monotonic() + job.seconds
    cases = [slices_of(job).load(files) for files in job.folder.split("train")]
    flip = resolve(_config(job), job.folder).augment.flip
    fitted, facts = peer_training.fit(peer, cases, len(job.folder.labels), flip, job.seed, until, job.device)
    fitted.save(job.out / "weights.pt")
    return facts


def score_peer(peer: Peer, job: Job) -> Scores:
    """What `samtailor evaluate` does, with a peer's label of every case."""
    fitted = peer_training.Fitted.load(job.out / "weights.pt", peer, job.device)
    files = cases_of_split(job.folder, job.split, {})
    cases = cases_with(lambda _, case: fitted.label(case.image), slices_of(job).load, files, "cases")
    source = {"data": job.folder.root.resolve().name, "split": job.split, "method": peer.title}
    return score_and_write(cases, job.folder.labels, job.folder.protocol, job.out / "scores", source=source)


def slices_of(job: Job) -> SliceCache:
    """SamTailor's own slices, intensities in [0, 1]: all methods see the same pixels."""
    preprocessing = preprocessing_of(resolve(_config(job), job.folder), job.folder.channel_choice)
    return SliceCache(job.folder.labels, preprocessing)


def _peer(peer: Peer) -> Method:
    return Method(peer.title, partial(fit_peer, peer), partial(score_peer, peer))


METHODS: dict[str, Method] = {
    "samtailor": Method("samtailor train --time, its defaults", fit_ours, score_run),
    "report": Method("the report's recipe: LoRA r=4 on queries and values, the base's own size", fit_report, score_run),
    "dynunet": _peer(DYNUNET),
    "dynunet-half": _peer(DYNUNET_HALF),
    "unet": _peer(UNET),
    "unet-half": _peer(UNET_HALF),
    "segformer": _peer(SEGFORMER),
}
"""What a user could pick, by name."""

_SHARED = ("data", "out", "base", "seed", "device", "time", "devices", "json")
"""What is the same for all methods."""


def method_of(name: str) -> Method:
    """A method by its name: one of `METHODS`, or 'samtailor' with flags of `samtailor train` behind it.

    Raises:
        ConfigError: If it is neither, or the flags are not as expected.
    """
    if name in METHODS:
        return METHODS[name]
    first, *flags = name.split() or [name]
    if first != "samtailor":
        raise ConfigError(f"methods: {not_one_of(METHODS, name)}")
    calls = (parser_of("train").parse(["DATA", "--out", "OUT", *some]) for some in ((), flags))
    usual, settings = ({**call.settings, "devices": call.devices, "json": call.as_json} for call in calls)
    if shared := [name for name in _SHARED if settings[name] != usual[name]]:
        raise ConfigError(f"methods: expected {' and '.join(shared)} to be the same for all; found '{name}'")
    own = {name: value for name, value in settings.items() if name not in _SHARED}
    return Method(f"samtailor train --time {' '.join(flags)}", partial(fit_ours, **own), score_run)
