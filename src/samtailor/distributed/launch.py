"""Starting the processes of one machine: what torchrun does, with the exit code of the command."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Sequence

from samtailor.distributed.world import world
from samtailor.errors import ConfigError

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def must_launch(devices: int) -> bool:
    """Whether the command line has yet to start its processes, so many on this machine."""
    if devices < 1:
        raise ConfigError(f"devices: expected at least 1, found {devices}")
    here = world()
    if here.launcher != "none" and devices not in (1, here.local_size):
        raise ConfigError(
            f"devices: expected nothing, for {here.launcher} has started {here.local_size} processes on this machine; "
            f"found {devices}"
        )
    return here.launcher == "none" and devices > 1


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run a command line in several processes on this machine.

    Gives the exit code of the process that failed first, 0 if none did; 128 and the number of a signal after it.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    environment = dict(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    try:
        elastic_launch(config, sys.executable)("-m", "samtailor", *arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return 128 - code if code < 0 else code
    except SignalException as stop:
        return 128 + int(stop.sigval)
    finally:  # torch leaves its own handlers and variables
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(environment)
    return 0
