"""A line of the table: a piece of work, how it is prepared on both sides, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from benchmarks.measure import Device, Holder

Side = Literal["ours", "peer"]
Quantity = Literal["times", "memory", "rate", "overhead"]
"""Times as fast as the peer; shares of the peer's memory, of the matrix rate, of the time that is not the network's."""


@dataclass(frozen=True)
class Place:
    """Where and how large a line is measured.

    Attributes:
        folder: For files of the work; empty at first.
        device: Where networks run.
        small: Tiny sizes, which only show that a line runs.
        full: The largest sizes, where a line has smaller ones by default.
    """

    folder: Path
    device: Device = "cpu"
    small: bool = False
    full: bool = False

    @property
    def holder(self) -> Holder:
        """Whose memory the networks take."""
        return "cuda" if self.device == "cuda" else "process"


@dataclass(frozen=True)
class Prepared:
    """One side of a piece of work, ready to run.

    Attributes:
        run: Does it once.
        gflop: Floating point operations that the work needs, in units of 1e9; None where that says nothing.
        facts: What else was found in the runs until now.
        holder: Whose memory counts; None where it says nothing.
        peak_runs: Runs until the peak is reached: a training step's optimizer state is only there in the second.
    """

    run: Callable[[], object]
    gflop: Callable[[], float] | None = None
    facts: Callable[[], dict[str, float]] = dict
    holder: Holder | None = "process"
    peak_runs: int = 1


@dataclass(frozen=True)
class Target:
    """What is asked of a line (issue 5, points 4, 6 and 7).

    Attributes:
        quantity: What is compared with the limit.
        limit: At least this for 'times' and 'rate', at most for 'memory' and 'overhead'.
    """

    quantity: Quantity
    limit: float

    def asks(self) -> str:
        """In words."""
        match self.quantity:
            case "times":
                return f"at least {self.limit:g} times as fast"
            case "rate":
                return f"at least {self.limit:.0%} of the matrix rate"
            case "memory":
                return f"at most {self.limit:.0%} of the peer's memory"
            case "overhead":
                return f"at most {self.limit:.0%} of the time beyond the network"

    def met(self, found: float) -> bool:
        """Whether what was found is enough."""
        return found >= self.limit if self.quantity in ("times", "rate") else found <= self.limit


@dataclass(frozen=True)
class Line:
    """One piece of work.

    Attributes:
        name: What it is called on the command line.
        work: What is done.
        prepare: Makes one side ready.
        peer: What ours is compared with; None if there is nothing.
        targets: What is asked of it.
        needs: Packages that a plain installation of this project does not bring.
        device: Where it is measured; lines of a GPU only with --gpu.
        usual: Whether it is measured when no lines are named.
        agreement: Largest difference of both sides' results, as a share of the largest number.
        grows: What it is a point of ('image side', ...); such a line has no peer.
        at: Which point.
    """

    name: str
    work: str
    prepare: Callable[[Side, Place], Prepared]
    peer: str | None = None
    targets: tuple[Target, ...] = ()
    needs: tuple[str, ...] = ()
    device: Device = "cpu"
    usual: bool = True
    agreement: Callable[[], float] | None = None
    grows: str | None = None
    at: int = 0

    @property
    def sides(self) -> tuple[Side, ...]:
        """Those that are measured."""
        return ("ours", "peer") if self.peer else ("ours",)

    def missing(self) -> list[str]:
        """Packages that are needed and not installed."""
        return [name for name in self.needs if find_spec(name) is None]
