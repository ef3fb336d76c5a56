"""What Lightning is told of the processes that torchrun or SLURM has started."""

from __future__ import annotations

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy

from samtailor.distributed.world import World
from samtailor.errors import ConfigError


def strategy_of(here: World) -> Strategy | str:
    """How the processes train together.

    Not every parameter has a gradient in every step (SAM's own mask token has none without a prompt), and validation
    must not wait for other processes to send buffers, which are the same everywhere.
    """
    return "auto" if here.size == 1 else DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


def environment_of(here: World) -> ClusterEnvironment:
    """What Lightning has to know about the processes; with one only, it must not look for SLURM's batch scripts."""
    if here.size == 1:
        return LightningEnvironment()
    return slurm_environment() if here.launcher == "slurm" else TorchElasticEnvironment()


def slurm_environment() -> SLURMEnvironment:
    """SLURM's variables, read by Lightning: also where the processes meet."""
    try:  # a job that is queued again continues with --resume, not with a checkpoint of Lightning's own
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise ConfigError(f"slurm: expected tasks per node; {error}") from error
