"""What kind of machine the numbers are from; neither its name nor any path."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Device


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Attributes:
        processor: Model of the CPU.
        cores: That this process may use.
        gpu: Model of the GPU; None where the CPU is measured.
        python: Version.
        torch: Version.
        transformers: Version.
    """

    processor: str
    cores: int
    gpu: str | None
    python: str
    torch: str
    transformers: str

    @property
    def kind(self) -> str:
        """Name of its results."""
        words = self.gpu or f"{self.processor} {self.cores} cores"
        return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def this_machine(device: Device) -> Machine:
    """The machine this runs on."""
    import torch

    return Machine(
        processor(),
        len(os.sched_getaffinity(0)),
        torch.cuda.get_device_name() if device == "cuda" else None,
        platform.python_version(),
        torch.__version__,
        version("transformers"),
    )


def processor(account: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the CPU, or its architecture where Linux does not tell."""
    found = re.search(r"^model name\s*:\s*(.+)$", account.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()
