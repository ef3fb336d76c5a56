"""Fitting again on what is labelled, in a process of its own: the page goes on, and a crash ends the fit alone."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from samtailor.errors import ConfigError, SamTailorError
from samtailor.outputs import require_place
from samtailor.page.fit_data import fit_data
from samtailor.page.project import Project
from samtailor.page.request_error import RequestError
from samtailor.runs import Run
from samtailor.segmenter import load
from samtailor.settings import AnyPath, Selection
from samtailor.training.settings import seconds_in

LOG = logging.getLogger("samtailor")

State = Literal["idle", "running", "done", "failed"]
_FRACTION = re.compile(r"^epoch .*?\b(\d{1,3})%")
"""How far a training is, in its own line; tables of the data have percentages too."""
_ERROR = "samtailor train: error: "
_PROMPTED = "0.25"
"""Fraction of the training images that are prompted, so that the new segmenter answers clicks."""
_EVERY = "2"
"""Seconds between two lines of progress."""
_PATIENCE = 20
"""Seconds that a fit may take to end."""


class FitAgain:
    """Trains on what is labelled; the project then takes the new segmenter."""

    def __init__(
        self,
        project: Project,
        runs: Path,
        base: str,
        weights: AnyPath | None = None,
        program: Sequence[str] = (sys.executable, "-m", "samtailor"),
    ) -> None:
        """Fit a project.

        Args:
            project: What is fitted.
            runs: Folder that the runs go to, each under a new name.
            base: Base model.
            weights: Its weights; by default the published ones.
            program: The command line's first words, before the verb.
        """
        self._project, self._runs, self._base, self._weights = project, runs, base, weights
        self._program = list(program)
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: Thread | None = None
        self._is_stopped = False
        self._state: State = "idle"
        self._line = ""
        self._fraction: float | None = None
        self._error: str | None = None
        self._warning: str | None = None
        self._run: Path | None = None

    def describe(self) -> dict[str, Any]:
        """Where the fit is."""
        return {
            "state": self._state,
            "line": self._line,
            "fraction": self._fraction if self._state == "running" else None,
            "error": self._error,
            "warning": self._warning,
            "run": None if self._run is None else str(self._run),
        }

    def start(self, time: str) -> None:
        """Begin a fit that ends in a time, such as '10m'.

        Raises:
            RequestError: If one runs already, the time is none, or too little is labelled.
        """
        try:
            seconds_in(time)
        except ConfigError as error:
            raise RequestError(400, str(error)) from error
        folder = self._project.folder
        if folder is None or not self._project.editable:
            raise RequestError(409, "fit: expected a folder of images that can be written to, found none")
        with self._lock:
            if self._state == "running":
                raise RequestError(409, "fit: expected no fit that runs, found one; wait for its end, or stop it")
            run = self._new_run(folder.root.resolve().name)
            data = fit_data(folder, run.name, self._project.shows_ct())
            require_place(run, data=data, is_run=True)
            self._process = self._begun(data, run, time, folder.selection)
            self._state, self._line = "running", "starting"
            self._fraction = self._error = self._warning = None
            self._run, self._is_stopped = run, False
            self._thread = Thread(target=self._follow, args=(self._process, run), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the fit that runs, as Ctrl-C does.

        Raises:
            RequestError: If none runs.
        """
        with self._lock:
            if self._state != "running" or self._process is None:
                raise RequestError(409, "fit: expected a fit that runs, found none")
            self._is_stopped = True
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the fit that runs, if one does, and wait for its end."""
        process, self._is_stopped = self._process, True
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _begun(self, data: Path, run: Path, time: str, selection: Selection) -> subprocess.Popen[str]:
        """The process of a training."""
        words = ["train", str(data), "--out", str(run), "--time", time, "--base", self._base]
        words += ["--device", self._project.device, "--prompt_fraction", _PROMPTED]
        words += [] if self._weights is None else ["--weights", str(self._weights)]
        words += [] if selection.dataset == "auto" else ["--dataset", selection.dataset]
        words += [] if selection.bands is None else ["--bands", selection.bands]
        return subprocess.Popen(
            [*self._program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "SAMTAILOR_TELL_EVERY": _EVERY},
            start_new_session=True,  # Ctrl-C in the terminal ends the page, which then ends the fit
        )

    def _follow(self, process: subprocess.Popen[str], run: Path) -> None:
        """Read what a training says, and take its segmenter in the end."""
        assert process.stdout is not None
        error = ""
        for text in process.stdout:
            if not (line := text.strip()):
                continue
            self._line = line
            if found := _FRACTION.search(line):
                self._fraction = min(1.0, int(found[1]) / 100)
            if line.startswith(_ERROR):
                error = line.removeprefix(_ERROR)
        code = process.wait()
        with self._lock:
            if self._is_stopped:
                self._state, self._line = "idle", "stopped"
            elif code:
                self._state, self._error = "failed", error or self._line or f"the training ended with code {code}"
            else:
                self._take(run)

    def _take(self, run: Path) -> None:
        """Let the project have the new segmenter."""
        try:
            warning = Run(run).warning
            self._project.take(load(run, self._weights), run)
        except Exception as error:  # whatever it is: no fit is at work any more
            if not isinstance(error, SamTailorError):
                LOG.exception("The segmenter of %s could not be taken", run)
            self._state, self._error = "failed", str(error) or type(error).__name__
        else:
            self._warning = "; ".join(warning.found) if warning else None
            self._state = "done"

    def _new_run(self, name: str) -> Path:
        """A directory for a run that is not there yet."""
        number = 1
        while os.path.lexists(place := self._runs / f"{name}-fit-{number}"):
            number += 1
        return place
