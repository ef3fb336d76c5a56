"""An estimate for the screen."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from samtailor.training.estimation import HEADROOM, Estimate, Option
from samtailor.training.measure import WARM_UP


def render(estimate: Estimate) -> Group:
    """Table of the settings, what was measured, and the advice."""
    parts: list[RenderableType] = [_table(estimate), *(Text(line) for line in _notes(estimate))]
    style = "bold red" if estimate.recommended is None else "yellow" if estimate.recommended.flags else "green"
    return Group(*parts, Text(estimate.advice(), style=style))


def _table(estimate: Estimate) -> Table:
    epochs = f"{estimate.epochs} epoch{'s' if estimate.epochs > 1 else ''}"
    table = Table(title=f"{estimate.base}, {estimate.recipe}, {epochs} of {estimate.data}")
    gpu = any(option.measured and option.measured.gpu_memory is not None for option in estimate.options)
    table.add_column("settings")
    for column in ("memory", *(["GPU memory"] if gpu else []), "per step", "whole training"):
        table.add_column(column, justify="right")
    table.add_column("fits")
    for option in estimate.options:
        flags = option.flags.replace(" --", "\n--") or "as given"
        table.add_row(flags, *_cells(option, gpu), "yes" if option.fits else "no")
    return table


def _cells(option: Option, gpu: bool) -> list[str]:
    """Memory, time per step, time of the whole training."""
    measured = option.measured
    if measured is None or option.seconds is None:
        return ["too much", *(["-"] if gpu else []), "-", "-"]
    memory = [in_bytes(measured.memory)]
    if gpu:
        memory.append("-" if measured.gpu_memory is None else in_bytes(measured.gpu_memory))
    return [*memory, in_time(measured.step_seconds), in_time(option.seconds)]


def _notes(estimate: Estimate) -> list[str]:
    """What the numbers are made of."""
    given = estimate.options[0]
    all_measured = [option.measured for option in estimate.options if option.measured]
    measured = all_measured[0] if all_measured else None
    free = f"free            {in_bytes(estimate.memory_free)} of memory"
    if measured is not None and measured.gpu_free is not None:
        free += f", {in_bytes(measured.gpu_free)} on the GPU"
    lines = [f"{free}; a training may take {HEADROOM:.0%} of it"]
    if given.measured is not None:
        weights, optimiser = in_bytes(given.measured.weights), in_bytes(given.measured.optimiser)
        lines.append(f"of the memory   {weights} are weights, {optimiser} gradients and the optimiser's state")
    work = estimate.workload
    lines += [
        f"each epoch      {given.steps_per_epoch} steps with {work.samples} samples of {_counted(work.training_cases)}",
        f"validations     {estimate.validations} with {work.validation_windows} windows of "
        f"{_counted(work.validation_cases)}",
    ]
    if given.disk:
        windows = work.training_windows + work.validation_windows
        assert given.measured is not None
        lines.append(
            f"embeddings      {windows} computed once, in {in_time(windows * given.measured.embedding_seconds)}; "
            f"{in_bytes(given.disk)} on disk, where {in_bytes(estimate.disk_free)} are free"
        )
    if measured is not None:
        fewest, most = (choose(m.steps for m in all_measured) for choose in (min, max))
        steps = f"{most}" if fewest == most else f"{fewest} to {most}"
        lines.append(
            f"An estimate from {steps} measured steps after {WARM_UP} to warm up, each row in a process of its own, on "
            f"{measured.device}. Other programs make it slower; the seed makes no difference. Cutting the cases into "
            "slices, once, comes on top."
        )
    if estimate.workers:
        lines.append(f"The memory of the {estimate.workers} processes that prepare samples comes on top.")
    return lines


def _counted(cases: tuple[int, int]) -> str:
    """Number of cases, and in how many of them was counted."""
    total, counted = cases
    text = f"{total} case{'s' if total > 1 else ''}"
    return text if counted == total else f"{text} ({counted} of them counted)"


def in_bytes(size: float) -> str:
    """Bytes in words: 830 MiB, 2.5 GiB."""
    if size < 2**30:
        return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    return f"{size / 2**30:.1f} GiB"


def in_time(seconds: float) -> str:
    """Seconds in words: 45 ms, 2.1 s, 14 min, 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
