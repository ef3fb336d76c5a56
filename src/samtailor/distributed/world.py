"""Which process of how many this is, as torchrun or SLURM says.

Lightning's cluster environments read the same variables, but take seconds to import, while this is asked before
anything heavy is, `samtailor --help` included; nor do they count the machines, or tell a step of srun from a batch
script. They are used from where the processes meet (`lightning_plugins`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from samtailor.errors import ConfigError

T = TypeVar("T")

Launcher = Literal["none", "torchrun", "slurm"]

# SLURM's variables of a step: a batch script without srun has those of the job only, and is one process.
_VARIABLES: dict[Launcher, tuple[str, str, str, str]] = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES"),
}


@dataclass(frozen=True)
class World:
    """This process among those of its job.

    Attributes:
        rank: Its number among all, from 0.
        size: How many there are.
        local_rank: Its number among those of its machine.
        nodes: Machines.
        launcher: Who started them.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    nodes: int = 1
    launcher: Launcher = "none"

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks for all."""
        return self.rank == 0

    @property
    def local_size(self) -> int:
        """Processes on this machine."""
        return self.size // self.nodes

    def share(self, items: Sequence[T]) -> list[T]:
        """Every `size`-th item from the `rank`-th on: together the processes have each item once."""
        return list(items[self.rank :: self.size])


def world() -> World:
    """What the environment says."""
    for launcher, (rank, size, local_rank, nodes) in _VARIABLES.items():
        if rank in os.environ and size in os.environ:
            numbers = [int(os.environ.get(name, default)) for name, default in ((local_rank, "0"), (nodes, "1"))]
            found = World(int(os.environ[rank]), int(os.environ[size]), numbers[0], numbers[1], launcher)
            if found.size % found.nodes:
                raise ConfigError(
                    f"{launcher}: expected as many processes on each machine, found {found.size} on {found.nodes}; "
                    "start the same number everywhere"
                )
            return found
    return World()
