"""The files of a machine's results: `<kind>.json` and `<kind>.md`; lines measured again take the place of old ones."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.line import Quantity, Target
from benchmarks.lines import LINES
from benchmarks.machine import Machine
from benchmarks.row import Row, markdown
from samtailor.files import atomic

FOLDER = Path(__file__).parent / "results"


def add(row: Row, machine: Machine, folder: Path) -> list[Row]:
    """Write a line beside those that are there from the same machine and versions, in the order of the table.

    Returns:
        All lines of the files.
    """
    stem = machine.kind + ("-small" if row.small else "")
    old = [other for other in read(folder / f"{stem}.json", machine) if other.name != row.name]
    places = [line.name for line in LINES]
    rows = sorted([*old, row], key=lambda each: places.index(each.name))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": asdict(machine), "lines": [as_json(each) for each in rows]}
    with atomic(folder / f"{stem}.json") as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic(folder / f"{stem}.md") as path:
        path.write_text(markdown(machine, rows), encoding="utf-8")
    return rows


def as_json(row: Row) -> dict[str, Any]:
    """A line with what follows from its numbers."""
    quantities: tuple[Quantity, ...] = ("times", "memory", "rate")
    return {**asdict(row), **{name: row.found(name) for name in quantities}, "verdicts": row.verdicts()}


def read(file: Path, machine: Machine) -> list[Row]:
    """Lines of a file; none if there is no file, or it is from another machine or other versions."""
    if not file.exists():
        return []
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["machine"] != asdict(machine):
        return []
    known = {line.name: line for line in LINES}
    fields = Row.__dataclass_fields__
    rows = []
    for entry in content["lines"]:
        if entry["name"] not in known:
            continue
        row = Row(**{name: value for name, value in entry.items() if name in fields})
        targets = tuple(Target(**target) for target in entry["targets"])
        rows.append(replace(row, seconds=tuple(row.seconds), peer_seconds=tuple(row.peer_seconds), targets=targets))
    return rows
