"""Cases that are open: read once, kept as long as somebody uses them and there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from samtailor.page.case_editor import CaseEditor
from samtailor.page.prompting import Corrector

_MOST_BYTES = 1 << 30
"""Of cases that are open; those in use count, but stay."""


@dataclass
class OpenCase:
    """A case that is open, what answers prompts on it, and how many requests are using it."""

    editor: CaseEditor
    corrector: Corrector | None = None
    users: int = 0


class OpenCases:
    """The cases that are open, by their numbers."""

    def __init__(self, read: Callable[[int], CaseEditor], most: int = _MOST_BYTES) -> None:
        """Have none open yet.

        Args:
            read: Opens a case.
            most: Bytes that they may take.
        """
        self._read, self._most = read, most
        self._lock = Lock()
        self._reading = Lock()
        self._open: OrderedDict[int, OpenCase] = OrderedDict()

    @contextmanager
    def using(self, number: int) -> Iterator[OpenCase]:
        """A case, read if it is not open; it stays open as long as the block."""
        one = self._held(number)
        if one is None:
            with self._reading:  # two requests for one case read it once
                one = self._held(number) or self._add(number, self._read(number))
        try:
            yield one
        finally:
            with self._lock:
                one.users -= 1

    def found(self, number: int) -> OpenCase | None:
        """A case that is open; None if it is not."""
        return self._open.get(number)

    def all(self) -> list[OpenCase]:
        """All of them."""
        with self._lock:
            return list(self._open.values())

    def _held(self, number: int) -> OpenCase | None:
        """A case that is open, held for one more request."""
        with self._lock:
            if (one := self._open.get(number)) is not None:
                one.users += 1
                self._open.move_to_end(number)
            return one

    def _add(self, number: int, editor: CaseEditor) -> OpenCase:
        """One more case, held for a request; the oldest that nobody uses go where there is no room."""
        with self._lock:
            one = self._open[number] = OpenCase(editor, users=1)
            held = sum(other.editor.size for other in self._open.values())
            for other, oldest in list(self._open.items())[:-1]:
                if held > self._most and not oldest.users:
                    held -= oldest.editor.size
                    del self._open[other]
            return one
