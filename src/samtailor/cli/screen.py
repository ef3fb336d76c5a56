"""What the command line shows: bars while a verb works, its log, and the result."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from samtailor.cli.bars import Bars
from samtailor.distributed.world import world
from samtailor.reporting import terminal


@contextmanager
def shown() -> Iterator[None]:
    """While the block works, its progress is bars, and what it logs stands on the output."""
    log = logging.getLogger("samtailor")
    handler = logging.StreamHandler(sys.stdout)
    log.addHandler(handler)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO if world().is_first else logging.CRITICAL)
    log.propagate = False
    try:
        with Bars():
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


def show(result: Any, as_json: bool) -> None:
    """Print what a verb returns.

    Args:
        result: Any value; its `str` is what people read, and its `complaint`, if any, goes to the error stream.
        as_json: Print plain values instead: what its `to_json` gives, or its fields.
    """
    if not as_json:
        if hasattr(result, "blocks"):
            terminal.show(result.blocks())
        else:
            print(result)
        if complaint := getattr(result, "complaint", ""):
            print(complaint, file=sys.stderr)
        return
    plain = result.to_json() if hasattr(result, "to_json") else result
    print(json.dumps(plain, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """What stands in JSON for a value that it does not know."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
