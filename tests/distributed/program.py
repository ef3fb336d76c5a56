"""What one of several processes runs: `python -m tests.distributed.program PLAN`, a JSON file of a `Plan`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samtailor.cli import main
from samtailor.data.cache import SliceCache
from samtailor.distributed.collectives import connect
from samtailor.distributed.world import world
from samtailor.inference import pipeline, scenes
from samtailor.labels import IGNORE
from samtailor.losses import ClassAwareLoss
from samtailor.models.zoo import BASES
from samtailor.training.task import SegmentationTask
from tests.tiny_base import tiny_base


@dataclass(frozen=True)
class Plan:
    """What the processes do.

    Attributes:
        weights: Weights of the base tiny-sam.
        notes: Folder for what a process notes: the cases it has cut into slices.
        commands: Command lines, one after the other.
        gradients: Where the first process writes the gradients of every step; nowhere if empty.
        losses: Where the first process writes the gradients of `losses_and_gradients`; nowhere if empty.
        dies: Process that is killed when it is about to compute its second image, or has computed the first band of
            its part of a scene; -1 for none.
        stopped: Training step, counted from 1 over all commands, in which the last process gets a Ctrl-C; 0 for none.
    """

    weights: str
    notes: str
    commands: list[list[str]]
    gradients: str = ""
    losses: str = ""
    dies: int = -1
    stopped: int = 0

    def write(self, path: Path) -> Path:
        """Where `run` finds it."""
        path.write_text(json.dumps(asdict(self)))
        return path


def run(plan: Plan) -> int:
    """Do everything; the exit code of the last command."""
    here = world()
    BASES["tiny-sam"] = tiny_base(Path(plan.weights))
    note_built_slices(Path(plan.notes) / f"built-{here.rank}.txt")
    if here.rank == plan.dies:
        die_at_the_second_image()
        die_within_a_scene()
    if plan.stopped and here.rank == here.size - 1:
        stop_in_step(plan.stopped)
    if plan.losses:
        connect("cpu")
        half = slice(here.rank, None, here.size)
        found = losses_and_gradients(half)
        if here.is_first:
            torch.save(found, plan.losses)
    steps = record_gradients()
    code = 0
    for command in plan.commands:
        code = main(command)
    if plan.gradients and here.is_first:
        torch.save(steps, plan.gradients)
    return code


def record_gradients() -> list[dict[str, Tensor]]:
    """A list to which every optimiser step from now on adds its gradients, before they are clipped."""
    steps: list[dict[str, Tensor]] = []

    def remember(task: SegmentationTask, optimizer: torch.optim.Optimizer) -> None:
        named = task.model.named_parameters()
        steps.append({name: p.grad.clone() for name, p in named if p.grad is not None})

    SegmentationTask.on_before_optimizer_step = remember  # type: ignore[method-assign, assignment]
    return steps


def losses_and_gradients(part: slice) -> list[Tensor]:
    """Loss and weight gradient of a small network on a part of five images, averaged as DDP does, for both Dices."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 4, 8, 8, generator=generator)
    target = torch.randint(0, 3, (6, 8, 8), generator=generator)
    target[0, :6] = IGNORE  # the processes have different numbers of pixels,
    target[1::2][target[1::2] == 2] = 0  # one has no pixel of a class,
    target[5] = IGNORE  # and one image only fills up
    found: list[Tensor] = []
    for batch_dice in (True, False):
        torch.manual_seed(1)
        network = nn.Conv2d(4, 3, 1)
        loss = ClassAwareLoss(class_weights=torch.tensor([1.0, 3.0, 10.0]), batch_dice=batch_dice)
        value = loss(network(images[part]), target[part])
        value.backward()
        assert network.weight.grad is not None
        gradient = network.weight.grad
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(gradient)
            gradient /= torch.distributed.get_world_size()
        found += [value.detach(), gradient]
    return found


def note_built_slices(path: Path) -> None:
    """Write the name of every case that this process cuts into slices into a file."""
    build = SliceCache._build

    def noted(self: SliceCache, files: Any, entry: Path) -> None:
        with path.open("a") as stream:
            stream.write(f"{entry.name}\n")
        build(self, files, entry)

    SliceCache._build = noted  # type: ignore[method-assign]


def stop_in_step(number: int) -> None:
    """Have this process get a Ctrl-C in the midst of a training step."""
    step, steps = SegmentationTask.training_step, itertools.count(1)

    def stopped(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        loss = step(task, batch, index)
        if next(steps) == number:
            signal.raise_signal(signal.SIGINT)
        return loss

    SegmentationTask.training_step = stopped  # type: ignore[method-assign]


def die_at_the_second_image() -> None:
    """Have this process killed once it has written one result and is about to compute the next."""
    compute = pipeline._compute
    images: list[Any] = []

    def fatal(predictor: Any, job: Any, image: Future[Any], *rest: Any) -> Any:
        if images:
            while not images[0].target.exists():
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        images.append(job)
        return compute(predictor, job, image, *rest)

    pipeline._compute = fatal  # type: ignore[assignment]


def die_within_a_scene() -> None:
    """Have this process killed when it has begun to leave its part of a scene."""
    leave = scenes._leave

    def fatal(bands: Any, path: Path) -> None:
        def killing() -> Any:
            yield next(bands)
            os.kill(os.getpid(), signal.SIGKILL)

        leave(killing(), path)

    scenes._leave = fatal


if __name__ == "__main__":
    sys.exit(run(Plan(**json.loads(Path(sys.argv[1]).read_text()))))
