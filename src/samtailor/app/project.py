"""What the page works on: images with their labels, what answers for them, and what is open."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, RLock
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.app.case_editor import CaseEditor
from samtailor.app.cases import Folder, ListedCase, listed_cases
from samtailor.app.edits import FOLDER, Edits, file_of
from samtailor.app.predictions import NOT_COUNTED, Prediction, Predictions, mean_dsc
from samtailor.app.prompting import BaseCorrections, Corrector, PromptedBase
from samtailor.app.request_error import RequestError
from samtailor.app.saving import save, target_of, write_label
from samtailor.app.shown_image import ShownImage, require_shown, shown_image, windows_of
from samtailor.app.thumbnails import thumbnail
from samtailor.app.uploads import Uploads
from samtailor.data.case import Case, CaseFiles, Geometry
from samtailor.data.formats import read_case, read_geometry
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.polygons.ground import Ground
from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.inference.prompt import Prompt
from samtailor.labels import IGNORE, LabelSpace
from samtailor.segmenter import Segmenter
from samtailor.settings import Device

MOST_CLASSES = 255
"""Classes whose indices, and that of pixels that count nowhere, are bytes."""
_MOST_BYTES = 1 << 30
"""Of cases that are open and not in use."""
_MOST_THUMBNAILS = 5000


@dataclass
class _Open:
    """A case that is open, what answers prompts on it, and how many requests are using it."""

    editor: CaseEditor
    corrector: Corrector | None = None
    users: int = 0


class Project:
    """Images with their labels, and what answers for them.

    Several threads may use it: what a case's label is has a lock of its own, reading files another, networks a third.

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
        assert folder or segmenter
        self.labels: LabelSpace = folder.labels if folder else segmenter.labels  # type: ignore[union-attr]
        if len(self.labels) > MOST_CLASSES:
            raise ConfigError(f"classes: expected at most {MOST_CLASSES}, found {len(self.labels)}; merge some")
        self.cases: list[ListedCase] = listed_cases(folder)
        self.predictions = Predictions()
        self.uploads = Uploads()
        self.editable = folder is not None and os.access(folder.root, os.W_OK)
        self.network = Lock()
        self._reading = Lock()
        self._lock = RLock()
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._thumbnails: OrderedDict[int, bytes] = OrderedDict()

    @property
    def is_ct(self) -> bool:
        """Whether an open case of the folder is CT, for all that is known."""
        with self._lock:
            return any(one.editor.shown.is_ct and not self.cases[n].uploaded for n, one in self._open.items())

    def close(self) -> None:
        """Delete what was kept only for the time being."""
        self.uploads.close()

    def describe(self) -> dict[str, Any]:
        """What the page shows first, but for the fit."""
        edited = self._edited_files()
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in self.labels.palette]
        names = self.labels.names
        segmenter = None
        if self.segmenter is not None:
            prompted = self.segmenter.model.practice.prompts != "none"
            segmenter = {"text": str(self.source), "base": self.segmenter.model.base.base, "prompted": prompted}
        return {
            "title": self.folder.root.resolve().name if self.folder else Path(str(self.source)).name,
            "data": str(self.folder.root) if self.folder else None,
            "segmenter": segmenter,
            "base": self.base.name if self.base else None,
            "classes": [
                {"index": index, "name": name, "color": colour}
                for index, (name, colour) in enumerate(zip(names, colours, strict=True))
            ],
            "ignore": NOT_COUNTED if self.labels.ignore_id is not None else None,
            "cases": [self._row(case, edited) for case in list(self.cases)],
            "editable": self.editable,
        }

    def row(self, case: ListedCase) -> dict[str, Any]:
        """A line of the page's list."""
        return self._row(case, self._edited_files())

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
        geometry = read_geometry(files.images[0])
        require_shown(files.name, geometry)
        with self._lock:
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
        with self._using(number) as one:
            yield one.editor

    def open(self, number: int) -> dict[str, Any]:
        """What the page shows of a case, which is opened."""
        with self.editing(number) as editor:
            shown, geometry = editor.shown, editor.case.geometry
            spacing, unit = spacing_of(editor.case.name, geometry)
            there = {
                "edit": editor.is_edited,
                "truth": editor.truth is not None,
                "prediction": editor.prediction is not None,
                "before": self.predictions.before(number) is not None,
            }
            return {
                "id": number,
                "name": self.case(number).files.name,
                "shape": list(editor.shape),
                "spacing": list(spacing),
                "unit": unit,
                "channels": shown.channels,
                "dtype": str(shown.pixels.dtype),
                "window": list(shown.window),
                "windows": windows_of(shown),
                "intensity_unit": "HU" if shown.is_ct else None,
                "sources": [name for name, is_there in there.items() if is_there],
                "shown": editor.source,
                "axes": "picture" if geometry.spacing is None else "patient",
            }

    def label(self, number: int, of: str) -> NDArray[np.uint8]:
        """A label of a case: 'edit' (the working label), 'truth', 'prediction' or 'before'.

        Raises:
            RequestError: If there is none such.
        """
        with self.editing(number) as editor:
            match of:
                case "edit":
                    return editor.label()
                case "truth":
                    label = editor.truth
                case "prediction":
                    label = editor.prediction
                case "before":
                    before = self.predictions.before(number)
                    label = before.label() if before else None
                case _:
                    raise RequestError(400, f"of: expected edit, truth, prediction or before; found '{of:.40}'")
        if label is None:
            raise RequestError(404, f"expected a {of} of '{self.case(number).files.name}', found none")
        return label

    def predict(self, number: int) -> float:
        """Segment a case; its working label becomes the prediction, unless there is a truth or an edit.

        Returns:
            Seconds that it took.

        Raises:
            RequestError: If there is no segmenter.
            DataError: If the case cannot be read, or does not fit the segmenter.
        """
        listed, segmenter = self.case(number), self._require_segmenter()
        with self._lock:
            one = self._open.get(number)
        # A case that nobody looks at is read for this only: a folder of volumes would push out what is open.
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
        with self._lock:
            one = self._open.get(number)
        if one is not None:
            one.editor.predicted(label)
        return seconds

    def prompt(self, number: int, prompt: Prompt) -> tuple[Any, Corrector]:
        """Correct the working label of a case by a prompt.

        Returns:
            What has changed, and what has answered.
        """
        with self._using(number) as one, self.network:
            if one.corrector is None:
                one.corrector = self._corrector(one.editor)
            try:
                return one.editor.prompt(one.corrector, prompt), one.corrector
            except DataError as error:
                raise RequestError(400, str(error)) from error

    def save(self, number: int) -> tuple[str, str | None]:
        """Write the working label into the data set.

        Returns:
            The file, and the copy of what it replaces, as paths in the data set.

        Raises:
            RequestError: If the case is not of the data set, or it cannot be written.
        """
        listed = self.case(number)
        self.require_editable(listed)
        assert self.folder is not None
        with self.editing(number) as editor, self._lock:
            label = editor.label()
            saved = save(self.folder, editor.case, listed.files, label)
            listed.files = saved.files
            self.folder.cases[number] = saved.files
            editor.saved(label)
            found = self.predictions.now(number)
            listed.score = mean_dsc(label, found.label(), len(self.labels)) if found else None
        root = self.folder.root
        assert saved.files.label is not None
        backup = None if saved.backup is None else os.path.relpath(saved.backup, root)
        return os.path.relpath(saved.files.label, root), backup

    def require_editable(self, case: ListedCase) -> None:
        """Refuse to write a label where there is no place for it."""
        if case.uploaded:
            raise RequestError(
                409, "expected a case of the data set, found one that was dropped here; download its label"
            )
        if not self.editable:
            where = self.folder.root if self.folder else "the data set"
            raise RequestError(
                409, f"{where}: expected a folder that can be written to, found another; download the label"
            )
        assert self.folder is not None
        target_of(self.folder, case.files)

    def thumbnail(self, number: int) -> bytes:
        """A small picture of a case (PNG)."""
        listed = self.case(number)
        if (found := self._thumbnails.get(number)) is not None:
            return found
        with self._lock:
            one = self._open.get(number)
        if one is not None:
            shown, spacing = one.editor.shown, one.editor.case.geometry.spacing
        else:
            with self._reading:
                case = self._image(listed)
            shown, spacing = self._shown(case), case.geometry.spacing
        found = thumbnail(shown, spacing)
        with self._lock:
            self._thumbnails[number] = found
            while len(self._thumbnails) > _MOST_THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return found

    def write(self, number: int, path: Path) -> None:
        """Write the working label of a case to a file, in its image's geometry."""
        with self.editing(number) as editor:
            write_label(editor.case, path, editor.label(), self.labels)

    def take(self, segmenter: Segmenter, source: Path) -> None:
        """Another segmenter answers from now on; what the one before has found is kept to compare with."""
        with self.network, self._lock:
            self.segmenter, self.source, self.base = segmenter, source, None
            self.predictions.turn()
            for one in self._open.values():
                one.corrector = None
                one.editor.predicted(None)
            for case in self.cases:
                case.score = None

    def _require_segmenter(self) -> Segmenter:
        if self.segmenter is None:
            raise RequestError(409, "predict: expected a fitted segmenter, found none yet; label some cases, and fit")
        return self.segmenter

    def _corrector(self, editor: CaseEditor) -> Corrector:
        """What answers prompts on a case."""
        if self.segmenter is not None:
            return self.segmenter.corrections(editor.case, self.device)
        assert self.base is not None
        return BaseCorrections(self.base, editor.shown.gray, self.labels, editor.shape[0])

    @contextmanager
    def _using(self, number: int) -> Iterator[_Open]:
        if (one := self._held(number)) is None:
            with self._reading:  # two requests for one case read it once
                if (one := self._held(number)) is None:
                    editor = self._opened(number)
                    with self._lock:
                        one = self._open[number] = _Open(editor, users=1)
                        self._close_others()
        try:
            yield one
        finally:
            with self._lock:
                one.users -= 1

    def _held(self, number: int) -> _Open | None:
        """A case that is open already, held open for one more request."""
        self.case(number)
        with self._lock:
            if (one := self._open.get(number)) is not None:
                one.users += 1
                self._open.move_to_end(number)
            return one

    def _close_others(self) -> None:
        """Close cases that nobody uses, the oldest first, where all take more memory than they may."""
        held = sum(one.editor.size for one in self._open.values())
        for number, one in list(self._open.items())[:-1]:
            if held <= _MOST_BYTES:
                return
            if not one.users:
                held -= one.editor.size
                del self._open[number]

    def _opened(self, number: int) -> CaseEditor:
        """A case, read."""
        listed = self.case(number)
        require_shown(listed.files.images[0], read_geometry(listed.files.images[0]))
        case, truth = self._read(listed)
        found = self.predictions.now(number)
        edits = Edits(self._edits_folder(listed), listed.key, self.labels.names, case.geometry.shape)
        return CaseEditor(case, self._shown(case), edits, truth, found.label() if found else None)

    def _read(self, listed: ListedCase) -> tuple[Case, NDArray[np.uint8] | None]:
        """A case without label, and its label, if it has one."""
        try:
            case = read_case(listed.files, self.labels if listed.files.label else None)
        except SamTailorError as error:
            listed.error = str(error)
            raise
        listed.error = None
        truth = None
        if case.label is not None:
            truth = np.where(case.label == IGNORE, NOT_COUNTED, case.label).astype(np.uint8)
        return replace(case, label=None), truth

    def _image(self, listed: ListedCase) -> Case:
        """A case without label, to be looked at."""
        file = listed.files.images[0]
        require_shown(file, read_geometry(file))
        return read_case(listed.files, None)

    def _shown(self, case: Case) -> ShownImage:
        channels = self.folder.channels if self.folder else ()
        intensity = self.segmenter.model.preprocessing.intensity if self.segmenter else None
        return shown_image(case, channels, intensity)

    def _edits_folder(self, listed: ListedCase) -> Path:
        """Where unsaved edits of a case lie: in the data set; those of a dropped image go with it."""
        if listed.uploaded or self.folder is None:
            return self.uploads.folder / "edits"
        return self.folder.root / FOLDER / "edits"

    def _edited_files(self) -> set[Path]:
        """Files of unsaved edits."""
        folders = [self.uploads.folder / "edits"]
        if self.folder:
            folders.append(self.folder.root / FOLDER / "edits")
        return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}

    def _row(self, case: ListedCase, edited: set[Path]) -> dict[str, Any]:
        found = self.predictions.now(case.id)
        return {
            "id": case.id,
            "name": case.files.name,
            "split": case.split,
            "volume": case.volume,
            "labelled": case.files.label is not None,
            "edited": file_of(self._edits_folder(case), case.key) in edited,
            "predicted": found is not None,
            "uncertainty": found.uncertainty if found else None,
            "score": case.score if found else None,
            "uploaded": case.uploaded,
            "error": case.error,
        }


def spacing_of(name: str, geometry: Geometry) -> tuple[tuple[float, float, float], str]:
    """Distance of slices, rows and columns, and its unit: mm of volumes, m on the Earth, else pixels."""
    if geometry.spacing is not None:
        return geometry.spacing, "mm"
    if isinstance(geometry, GeoGeometry) and geometry.crs and geometry.transform:
        try:
            middle = geometry.size[0] // 2
            area = Ground.of(Path(name), geometry).pixel_areas(slice(middle, middle + 1), geometry.size[1])
            side = math.sqrt(float(area[0]))
        except SamTailorError:
            return (1.0, 1.0, 1.0), "px"
        return (1.0, side, side), "m"
    return (1.0, 1.0, 1.0), "px"
