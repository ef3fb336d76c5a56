"""A measured line, and the table of many, as JSON and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from statistics import median

from benchmarks.line import Quantity, Target
from benchmarks.machine import Machine
from benchmarks.measure import Clock


@dataclass(frozen=True)
class Row:
    """What was found for one line.

    Attributes:
        name: Of the line.
        work: What is done.
        peer: What ours is compared with.
        clock: 'wall', or 'processor' for a machine that others use as well.
        seconds: Of each repeat of ours.
        peer_seconds: Of each repeat of the peer's, in turns with ours.
        gigabytes: Peak memory beyond what is held before the work (weights, inputs, libraries), 2**30 bytes;
            None where that says nothing.
        peer_gigabytes: The peer's.
        gflop: Floating point operations that the work needs, in units of 1e9.
        matrix_rate: Measured rate of a matrix product in the same process, GFLOP/s.
        threads: Of the matrix product.
        overhead: Share of the time beyond the network.
        difference: Of both sides' results, as a share of the largest number.
        targets: What is asked.
        small: Whether sizes are tiny, and numbers meaningless.
        full: Whether sizes are the largest.
        grows: What grows from line to line.
        at: The value of what grows.
    """

    name: str
    work: str
    peer: str | None
    clock: Clock
    seconds: tuple[float, ...]
    peer_seconds: tuple[float, ...] = ()
    gigabytes: float | None = None
    peer_gigabytes: float | None = None
    gflop: float | None = None
    matrix_rate: float = 0.0
    threads: int = 1
    overhead: float | None = None
    difference: float | None = None
    targets: tuple[Target, ...] = ()
    small: bool = False
    full: bool = False
    grows: str | None = None
    at: int = 0

    def found(self, quantity: Quantity) -> float | None:
        """A quantity that targets ask for; None where it was not measured."""
        ours = median(self.seconds)
        match quantity:
            case "times":
                return median(self.peer_seconds) / ours if self.peer_seconds else None
            case "memory":
                return self.gigabytes / self.peer_gigabytes if self.gigabytes and self.peer_gigabytes else None
            case "rate":
                return self.gflop / ours / self.matrix_rate if self.gflop else None
            case "overhead":
                return self.overhead

    def verdicts(self) -> list[dict[str, str | float | bool | None]]:
        """Each target with what was found and whether it is met; None for sizes that say nothing."""
        return [
            {
                "asks": target.asks(),
                "found": (found := self.found(target.quantity)),
                "met": None if self.small or found is None else target.met(found),
            }
            for target in self.targets
        ]

    def cells(self) -> list[str]:
        """Its cells in the table of the pieces of work."""
        said = {True: "met", False: "not met", None: "not judged"}
        targets = [f"{verdict['asks']}: {said[verdict['met']]}" for verdict in self.verdicts()]  # type: ignore[index]
        if self.overhead is not None:
            targets.append(f"{self.overhead:.1%} of the time beyond the network")
        return [
            self.name,
            self.work + (", at full size" if self.full else ""),
            self.peer or "",
            f"{median(self.seconds):.3g}",
            f"{median(self.peer_seconds):.3g}" if self.peer_seconds else "",
            _cell(self.found("times"), ".2f"),
            _cell(self.gigabytes, ".2f"),
            _cell(self.peer_gigabytes, ".2f"),
            _cell(self.found("memory"), ".0%"),
            _cell(self.found("rate"), ".0%"),
            "; ".join(targets),
        ]

    def growth_cells(self) -> list[str]:
        """Its cells in the table of what grows."""
        seconds = f"{median(self.seconds):.3g}"
        return [str(self.at), seconds, _cell(self.gigabytes, ".2f"), _cell(self.found("rate"), ".0%")]


HEAD = (
    "line",
    "work",
    "peer",
    "s",
    "peer, s",
    "times as fast",
    "GB",
    "peer, GB",
    "of the peer's",
    "of the matrix rate",
    "targets",
)


def markdown(machine: Machine, rows: list[Row]) -> str:
    """The page of a machine."""
    versions = f"Python {machine.python}, torch {machine.torch}, transformers {machine.transformers}"
    threads, clocks = sorted({row.threads for row in rows}), sorted({row.clock for row in rows})
    rate = max((row.matrix_rate for row in rows), default=0.0)
    parts = [
        f"# {machine.gpu or machine.processor}",
        f"{machine.processor}, {machine.cores} cores; {versions}. Clock: {', '.join(clocks)}; threads: "
        f"{', '.join(map(str, threads))}; best matrix product {rate:.0f} GFLOP/s.",
        "Median of the repeats, ours and the peer's in turns, each in its process. GB: peak memory beyond weights, "
        "inputs and libraries. How to read it: docs/benchmarks.md.",
    ]
    if any(row.small for row in rows):
        parts.append("**Tiny sizes: these numbers only show that everything runs.**")
    works = [row for row in rows if row.grows is None]
    if works:
        parts.append(_table(HEAD, [row.cells() for row in works]))
    growing = [row for row in rows if row.grows is not None]
    for (work, grows), points in groupby(growing, lambda row: (row.work, row.grows)):
        cells = [point.growth_cells() for point in points]
        parts += [f"## {work}", _table((grows or "", "s", "GB", "of the matrix rate"), cells)]
    return "\n\n".join(parts) + "\n"


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
