"""Predicting all cases, one after the other, while the page is used: a click waits for one of them at most."""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from typing import Any

from samtailor.errors import SamTailorError
from samtailor.page.project import Project
from samtailor.page.request_error import RequestError

LOG = logging.getLogger("samtailor")


class Predicting:
    """Predicts the cases that have no prediction yet, in a thread of its own."""

    def __init__(self, project: Project) -> None:
        """Predict nothing yet."""
        self._project = project
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stop = Event()
        self._done = self._of = self._failed = 0

    def describe(self) -> dict[str, Any]:
        """How far it is."""
        return {"running": self._is_running, "done": self._done, "of": self._of, "failed": self._failed}

    @property
    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin with what has no prediction.

        Raises:
            RequestError: If there is no segmenter, all is predicted, or it runs already.
        """
        with self._lock:
            if self._is_running:
                raise RequestError(409, "predict: expected no prediction that runs, found one; wait, or stop it")
            self._project.require_segmenter()
            waiting = [case.id for case in self._project.cases if not self._project.predictions.now(case.id)]
            if not waiting:
                raise RequestError(409, "predict: expected cases without a prediction, found none")
            self._done, self._of, self._failed = 0, len(waiting), 0
            self._stop.clear()
            self._thread = Thread(target=self._run, args=(waiting,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the case that is being predicted."""
        self._stop.set()

    def _run(self, waiting: list[int]) -> None:
        for number in waiting:
            if self._stop.is_set():
                return
            try:
                self._project.predict(number)
            except Exception as error:  # of libraries, too: the others need not wait for this one
                if not isinstance(error, SamTailorError | OSError | MemoryError):
                    LOG.exception("%s could not be predicted", self._project.case(number).files.name)
                self._project.case(number).error = str(error) or type(error).__name__
                self._failed += 1
            self._done += 1
