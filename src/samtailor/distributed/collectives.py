"""What the processes of a job tell each other: errors, results, sums. With one process, everything is as it is."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from samtailor.distributed.world import World, world
from samtailor.errors import ConfigError, ProcessLostError, SamTailorError, SharedError
from samtailor.progress import tracked

T = TypeVar("T")
R = TypeVar("R")

_MEETING = timedelta(minutes=10)  # until all processes have been started
_PATIENCE = timedelta(days=1)  # the first process checks the data alone; one that dies is noticed at once


def connect(device: str = "auto") -> World:
    """Connect the processes of the job, once; with a GPU ('auto' or 'cuda') each takes its own."""
    here = world()
    if here.size == 1 or dist.is_initialized():
        return here
    has_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if has_gpu:
        if here.local_size > torch.cuda.device_count():
            raise ConfigError(
                f"device: expected a GPU for each of the {here.local_size} processes of this machine, found "
                f"{torch.cuda.device_count()}; start fewer, or take --device cpu"
            )
        torch.cuda.set_device(here.local_rank)
    if here.launcher == "slurm":  # it does not say where the processes meet; torchrun does
        from samtailor.distributed.lightning_plugins import slurm_environment

        environment = slurm_environment()
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    try:
        store, _, _ = next(rendezvous("env://", here.rank, here.size, timeout=_MEETING))
        backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
        dist.init_process_group(backend, store=store, rank=here.rank, world_size=here.size, timeout=_PATIENCE)
    except RuntimeError as error:
        raise ProcessLostError(f"expected {here.size} processes to meet, but they did not: {error}") from error
    # Else a thread of the group may still run when the interpreter is gone, which aborts the process.
    atexit.register(_leave)
    return here


def _leave() -> None:
    """Disconnect from the other processes, if nobody has done so."""
    if is_distributed():
        dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether there are other processes to talk to."""
    return dist.is_available() and dist.is_initialized()


def gather(value: T) -> list[T]:
    """The values of all processes in their order, for each of them. All must call it."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    try:
        dist.all_gather_object(values, value)
    except RuntimeError as error:
        raise ProcessLostError("another process of this job has ended early; see what it said") from error
    return cast(list[T], values)


def most_of_processes(value: int) -> int:
    """The largest of the whole numbers of all processes, for each of them. All must call it."""
    if not is_distributed():
        return value
    largest = torch.tensor(value)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def broadcast_from_first(value: T) -> T:
    """The value of the first process, for all of them. All must call it."""
    return gather(value)[0]


@contextmanager
def raise_on_all_ranks() -> Iterator[None]:
    """What is done here succeeds in all processes, or fails in all with the error of the first that failed."""
    if not is_distributed():
        yield
        return
    error: SamTailorError | None = None
    try:
        yield
    except ProcessLostError:
        raise
    except SamTailorError as caught:
        error = caught
    errors = gather(None if error is None else str(error))
    first = next((text for text in errors if text is not None), None)
    if first is not None:
        raise SharedError(first) from error


def make_once(make: Callable[[T], R], items: Sequence[T], what: str) -> list[R]:
    """Make things that stay on disk, each in one process, and open them all in each; progress says `what`."""
    here = world()
    if is_distributed():
        with raise_on_all_ranks():
            for item in tracked(what, here.share(items)):
                make(item)
        with raise_on_all_ranks():  # machines that share no disk make their own
            for item in items[here.local_rank :: here.local_size]:
                make(item)
    return [make(item) for item in tracked(what, items)]


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # All processes go on alike from the sum, so each knows the gradient. DDP will divide by their number.
        return gradient * dist.get_world_size()


def sum_over_processes(local: Tensor) -> Tensor:
    """Sum of a tensor over all processes, through which gradients flow; the tensor itself with one process.

    All processes must compute the same loss from the sum. Its gradients, averaged over the processes as DDP averages
    them, are then those that one process with the inputs of all would have.
    """
    return cast(Tensor, _SumOverProcesses.apply(local)) if is_distributed() else local  # type: ignore[no-untyped-call]
