"""What the page works on: images with their labels, what answers for them, and what is open."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from samtailor.alone import alone
from samtailor.data.case import Case, CaseFiles
from samtailor.data.formats import read_case, read_geometry
from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.files import cache_home
from samtailor.inference.prompt import Prompt
from samtailor.labels import IGNORE, LabelSpace
from samtailor.page.case_editor import CaseEditor, Change
from samtailor.page.cases import Folder, ListedCase, listed_cases
from samtailor.page.edits import EDITS, FOLDER, Edits, can_be_kept
from samtailor.page.open_cases import OpenCases
from samtailor.page.predictions import NOT_COUNTED, Prediction, Predictions, mean_dsc
from samtailor.page.prompting import BaseCorrections, Corrector, PromptedBase
from samtailor.page.request_error import RequestError
from samtailor.page.saving import save, write_label
from samtailor.page.shown_image import ShownImage, require_shown, shown_image
from samtailor.page.thumbnails import thumbnail
from samtailor.page.uploads import Uploads
from samtailor.segmenter import Segmenter
from samtailor.settings import Device

MOST_CLASSES = 255
"""Classes whose indices, and that of pixels that count nowhere, are bytes."""


class Project:
    """Images with their labels, and what answers for them; several threads may use it.

    Attributes:
        folder: The images; None if there is no folder, only what is dropped on the page.
        labels: The classes.
        cases: The list of the page.
        segmenter: What predicts and answers prompts; None before any fit.
        source: Where it was loaded from.
        base: What answers prompts before any fit.
        predictions: What the segmenter has found.
        uploads: What was dropped on the page.
        editable: Whether labels can be written.
        device: Where networks compute.
        network: Held by who computes: networks take all cores, and are no place for two threads.
    """

    def __init__(
        self,
        folder: Folder | None,
        segmenter: Segmenter | None = None,
        source: Path | str | None = None,
        base: PromptedBase | None = None,
        device: Device = "auto",
    ) -> None:
        """Work on a folder with a segmenter, or a base that nobody has fitted.

        Raises:
            ConfigError: If there are more classes than the page can show.
        """
        self.folder, self.segmenter, self.source, self.base, self.device = folder, segmenter, source, base, device
        if folder is not None:
            self.labels: LabelSpace = folder.labels
        else:
            assert segmenter is not None, "a base alone has no classes"
            self.labels = segmenter.labels
        if len(self.labels) > MOST_CLASSES:
            raise ConfigError(f"classes: expected at most {MOST_CLASSES}, found {len(self.labels)}; merge some")
        self.cases: list[ListedCase] = listed_cases(folder)
        self.predictions = Predictions()
        self.uploads = Uploads()
        self.editable = folder is not None and os.access(folder.root, os.W_OK)
        self._keeps_edits = folder is not None and self.editable and can_be_kept(folder.root)
        self.network = Lock()
        self._open = OpenCases(self._opened)
        self._listing, self._saving, self._looking = Lock(), Lock(), Lock()
        self._thumbnails: dict[int, bytes] = {}

    def close(self) -> None:
        """Wait for who computes, and delete what was kept only for the time being."""
        with self.network:
            self.uploads.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the folder for this page while the block runs: two would write over each other's edits.

        Raises:
            ConfigError: If another page has it open.
        """
        if self.folder is None:
            yield
            return
        root = self.folder.root
        refusal = (
            f"data: expected a folder that no other page has open, found {root} open on one; use that page, or stop it"
        )
        with alone(root, refusal):
            yield

    def case(self, number: int) -> ListedCase:
        """A case by its number.

        Raises:
            RequestError: If there is none.
        """
        if not 0 <= number < len(self.cases):
            raise RequestError(404, f"expected a case from 0 to {len(self.cases) - 1}, found {number}")
        return self.cases[number]

    def add_upload(self, files: CaseFiles) -> ListedCase:
        """List an image that was dropped on the page.

        Raises:
            DataError: If it cannot be read, or shown.
        """
        with self.uploads.called_as_sent(files):
            require_shown(files.name, read_geometry(files.images[0]))
        with self._listing:
            case = ListedCase(len(self.cases), files, str(files.images[0]), uploaded=True)
            self.cases.append(case)
            return case

    @contextmanager
    def editing(self, number: int) -> Iterator[CaseEditor]:
        """A case, opened if need be; it stays open as long as the block.

        Raises:
            RequestError: If there is none.
            DataError: If it cannot be read.
        """
        self.case(number)
        with self._open.using(number) as one:
            yield one.editor

    def label(self, number: int, of: str) -> NDArray[np.uint8]:
        """A label of a case: 'edit' (the working label), 'truth', 'prediction', 'before' or 'empty' (background alone).

        Raises:
            RequestError: If there is none such.
        """
        before = self.predictions.before(number)
        with self.editing(number) as editor:
            match of:
                case "edit":
                    return editor.label()
                case "truth":
                    label = editor.truth
                case "prediction":
                    label = editor.prediction
                case "before":
                    label = before.label() if before else None
                case "empty":
                    label = editor.empty()
                case _:
                    raise RequestError(400, f"of: expected edit, truth, prediction, before or empty; found '{of:.40}'")
        if label is None:
            raise RequestError(404, f"expected a {of} of '{self.case(number).files.name}', found none")
        return label

    def require_segmenter(self) -> Segmenter:
        """The segmenter that predicts.

        Raises:
            RequestError: If there is none yet.
        """
        if self.segmenter is None:
            raise RequestError(409, "predict: expected a fitted segmenter, found none yet; label some cases, and fit")
        return self.segmenter

    def predict(self, number: int) -> float:
        """Segment a case; where it is next opened, that is its working label, unless there is a truth or an edit.

        Returns:
            Seconds that it took.

        Raises:
            RequestError: If there is no segmenter.
            DataError: If the case cannot be read, or does not fit the segmenter.
        """
        listed, segmenter = self.case(number), self.require_segmenter()
        # A case that nobody looks at is read for this only: a folder of volumes would push out what is open.
        one = self._open.found(number)
        case, truth = (one.editor.case, one.editor.truth) if one else self._read(listed)
        with self.network:
            begin = monotonic()
            prediction = Prediction.of(segmenter, case, self.device)
            seconds = monotonic() - begin
            if self.segmenter is not segmenter:
                return seconds  # another one was fitted meanwhile: this is not what it finds
            self.predictions.add(number, prediction)
        label = prediction.label()
        listed.score = None if truth is None else mean_dsc(truth, label, len(self.labels))
        if (one := self._open.found(number)) is not None:
            one.editor.predicted(label)
        return seconds

    def predict_file(self, files: CaseFiles, target: Path) -> None:
        """Segment an image that is no case of the list, and write its label.

        Raises:
            RequestError: If there is no segmenter.
            DataError: If the image cannot be read, or does not fit the segmenter.
        """
        segmenter = self.require_segmenter()
        case = read_case(files, None)
        with self.network:
            result = segmenter.predict(case, device=self.device)
        result.save(target)

    def prompt(self, number: int, prompt: Prompt, revision: str | None = None) -> tuple[Change | None, Corrector, str]:
        """Correct the working label of a case by a prompt, given for the label of some revision, or for any.

        Returns:
            What has changed, what has answered, and the revision of the label then.
        """
        self.case(number)
        with self._open.using(number) as one, self.network:
            if one.corrector is None:
                one.corrector = self._corrector(one.editor)
            try:
                prompt.require_fit(self.labels, one.editor.shape)
                change, now = one.editor.prompt(one.corrector, prompt, revision)
                return change, one.corrector, now
            except DataError as error:
                raise RequestError(400, str(error)) from error

    def prepare(self, number: int, index: int) -> None:
        """Have at hand what further prompts on a slice may ask for."""
        one = self._open.found(number)
        if one is not None and one.corrector is not None:
            with self.network:
                one.corrector.prepare(index)

    def save(self, number: int, revision: str | None = None) -> tuple[str, str | None]:
        """Write the working label into the data set, if it is that of a revision, or whichever it is.

        Returns:
            The file, and the copy of what it replaces, as paths in the data set.

        Raises:
            RequestError: If the case is not of the data set, or it cannot be written.
        """
        listed, folder = self.case(number), self.folder
        if listed.uploaded:
            found = "found one that was dropped here; download its label"
            raise RequestError(409, f"save: expected a case of the data set, {found}")
        if folder is None or not self.editable:
            found = "found another; download the label"
            raise RequestError(409, f"save: expected a folder that can be written to, {found}")
        with self.editing(number) as editor, self._saving, editor.since(revision):
            label = editor.label()
            saved = save(folder, editor.case, listed.files, label)
            listed.files = folder.cases[number] = saved.files
            editor.saved(label)
        predicted = self.predictions.now(number)
        listed.score = mean_dsc(label, predicted.label(), len(self.labels)) if predicted else None
        backup = None if saved.backup is None else os.path.relpath(saved.backup, folder.root)
        return os.path.relpath(saved.target, folder.root), backup

    def write(self, number: int, path: Path) -> None:
        """Write the working label of a case to a file, in its image's geometry."""
        with self.editing(number) as editor:
            write_label(editor.case, path, editor.label(), self.labels)

    def thumbnail(self, number: int) -> bytes:
        """A small picture of a case (PNG)."""
        listed = self.case(number)
        if (found := self._thumbnails.get(number)) is not None:
            return found
        if (one := self._open.found(number)) is not None:
            found = thumbnail(one.editor.shown, one.editor.case.geometry.spacing)
        else:
            with self._looking:  # a list of volumes would fill the memory at once
                file = listed.files.images[0]
                require_shown(file, read_geometry(file))
                case = read_case(listed.files, None)
                found = thumbnail(self._shown(case), case.geometry.spacing)
        self._thumbnails[number] = found
        return found

    def take(self, segmenter: Segmenter, source: Path) -> None:
        """Another segmenter answers from now on; what the one before has found is kept to compare with."""
        with self.network:
            self.segmenter, self.source, self.base = segmenter, source, None
            self.predictions.turn()
            for one in self._open.all():
                one.corrector = None
                one.editor.predicted(None)
            for case in self.cases:
                case.score = None

    def shows_ct(self) -> bool:
        """Whether the first labelled case of the folder is CT, for all that is known."""
        number = next((case.id for case in self.cases if case.files.label and not case.uploaded), None)
        if number is None or not self.cases[number].volume:
            return False
        with self.editing(number) as editor:
            return editor.shown.is_ct

    def edits_folder(self, listed: ListedCase) -> Path:
        """Where unsaved edits of a case lie; those of an image that was dropped here go with it."""
        return self.edits_folders[0 if listed.uploaded else -1]

    @property
    def edits_folders(self) -> list[Path]:
        """Where unsaved edits lie: of dropped images, then of the data set's; in the cache if that takes none."""
        folders = [self.uploads.folder / EDITS]
        if self.folder is not None and self._keeps_edits:
            folders.append(self.folder.root / FOLDER / EDITS)
        elif self.folder is not None:
            place = str(self.folder.root.resolve()).encode("utf-8", "surrogateescape")
            folders.append(cache_home() / EDITS / hashlib.sha256(place).hexdigest()[:24])
        return folders

    def _corrector(self, editor: CaseEditor) -> Corrector:
        """What answers prompts on a case."""
        if self.segmenter is not None:
            return self.segmenter.corrections(editor.case, self.device)
        assert self.base is not None
        return BaseCorrections(self.base, editor.shown.gray, self.labels, editor.shape[0])

    def _opened(self, number: int) -> CaseEditor:
        """A case, read."""
        listed = self.case(number)
        with self._reading(listed):
            require_shown(listed.files.images[0], read_geometry(listed.files.images[0]))
        case, truth = self._read(listed)
        found = self.predictions.now(number)
        edits = Edits(self.edits_folder(listed), listed.key, self.labels.names, case.geometry.shape)
        return CaseEditor(case, self._shown(case), edits, truth, found.label() if found else None)

    def _read(self, listed: ListedCase) -> tuple[Case, NDArray[np.uint8] | None]:
        """A case without label, and its label, if it has one."""
        with self._reading(listed):
            case = read_case(listed.files, self.labels if listed.files.label else None)
        if case.label is None:
            return case, None
        return replace(case, label=None), np.where(case.label == IGNORE, NOT_COUNTED, case.label).astype(np.uint8)

    @contextmanager
    def _reading(self, listed: ListedCase) -> Iterator[None]:
        """A block that reads files of a case; its line tells what is wrong with them."""
        try:
            with self.uploads.called_as_sent(listed.files):
                yield
        except SamTailorError as error:
            listed.error = str(error)
            raise
        listed.error = None

    def _shown(self, case: Case) -> ShownImage:
        """A case as it is shown."""
        channels = self.folder.channels if self.folder else ()
        intensity = self.segmenter.model.preprocessing.intensity if self.segmenter else None
        return shown_image(case, channels, intensity)
