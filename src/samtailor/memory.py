"""How much memory is free here, and how much a process takes, in bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]


def available_memory() -> int:
    """Memory that programs can still take without swapping, on this machine or in this container."""
    available = int(psutil.virtual_memory().available)
    allowed = container_memory()
    return available if allowed is None else min(available, allowed)


def resident_memory(process: int) -> int:
    """Memory that a process holds now; 0 if it has ended."""
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def peak_memory() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    # Linux' getrusage would start at what the parent held when it started this process.
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def container_memory(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What is left of the memory that Linux' control groups (containers, batch systems) allow; None without a limit."""
    left: list[int] = []
    for line in groups.read_text(encoding="utf-8").splitlines() if groups.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):  # version 1
            mount, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = mount / path.lstrip("/")
        left += [free for group in (own, *own.parents) if (free := _left(group, *names)) is not None]
    return min(left, default=None)


def _left(group: Path, limit: str, usage: str, cached: str) -> int | None:
    """What a group has left; files that are only cached can be given back."""
    try:
        allowed = (group / limit).read_text(encoding="utf-8").strip()
        used = int((group / usage).read_text(encoding="utf-8"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
    except OSError:
        return None
    return None if allowed == "max" else max(0, int(allowed) - used + int(stat.get(cached, 0)))
