"""One case that is open on the page: its image, its working label, and how that is changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.inference.prompt import Prompt
from samtailor.labels import IGNORE
from samtailor.page.box import Box, shape_of
from samtailor.page.edits import Edits
from samtailor.page.interpolation import between
from samtailor.page.predictions import NOT_COUNTED
from samtailor.page.prompting import Corrector
from samtailor.page.request_error import RequestError
from samtailor.page.shown_image import ShownImage

Source = Literal["truth", "prediction", "empty"]
Change = tuple[Box, NDArray[np.uint8]]
"""A box of the label and what stands there now."""


def revision_of(label: NDArray[np.uint8], key: str) -> str:
    """What tells a label from any other, also of another case: after a restart, a number may be that of another one."""
    start = zlib.crc32(key.encode("utf-8", "surrogateescape"))
    return f"{zlib.crc32(np.ascontiguousarray(label).data, start):08x}"


class CaseEditor:
    """The working label of a case. It starts as what was not saved, else as the truth, the prediction, or empty.

    Every change is on disk before the call that makes it returns.

    Attributes:
        case: The case, without label.
        shown: What browsers are given of it.
        truth: The label of the data set, (S, H, W), 255 where nothing counts; None if there is none.
    """

    def __init__(
        self,
        case: Case,
        shown: ShownImage,
        edits: Edits,
        truth: NDArray[np.uint8] | None = None,
        prediction: NDArray[np.uint8] | None = None,
    ) -> None:
        """Open a case.

        Raises:
            FileError: If there are unsaved edits that do not fit it.
        """
        self.case, self.shown, self.truth = case, shown, truth
        self._edits = edits
        self._lock = RLock()
        self.prediction = prediction
        self._revision: str | None = None
        self._painted: tuple[Any, str] | None = None  # what was asked for last, and the revision since
        kept = edits.read()
        self._label = self._first() if kept is None else self._where_void(kept, slice(None))
        self._is_edited = kept is not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.case.geometry.shape

    @property
    def is_edited(self) -> bool:
        """Whether there are changes that are not saved."""
        return self._is_edited

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.case.image.nbytes + self.shown.pixels.nbytes + 2 * self._label.nbytes

    @property
    def source(self) -> Literal["edit", "truth", "prediction", "empty"]:
        """What the working label is."""
        return "edit" if self._is_edited else self._unedited

    def label(self) -> NDArray[np.uint8]:
        """A copy of the working label, (S, H, W)."""
        with self._lock:
            return self._label.copy()

    def empty(self) -> NDArray[np.uint8]:
        """A label of nothing but background, (S, H, W)."""
        return self._where_void(np.zeros(self.shape, np.uint8), slice(None))

    @property
    def revision(self) -> str:
        """What tells the working label from any other."""
        with self._lock:
            if self._revision is None:
                self._revision = revision_of(self._label, self._edits.key)
            return self._revision

    @contextmanager
    def since(self, revision: str | None) -> Iterator[None]:
        """A block in which nobody else changes the working label, which must be one that a page has seen.

        Raises:
            RequestError: If it is another; any is right for None.
        """
        with self._lock:
            if revision not in (None, self.revision):
                raise RequestError(
                    412,
                    f"'{self.case.name}': expected the label that this page shows, found one that was changed "
                    "elsewhere; make the change on that one",
                )
            yield

    def predicted(self, prediction: NDArray[np.uint8] | None) -> None:
        """Take a prediction, or none; what the page draws and edits stays the working label until it looks again."""
        with self._lock:
            self.prediction = prediction

    def looked_at(self) -> None:
        """The page fetches everything anew: without truth and edits, the prediction becomes the working label."""
        with self._lock:
            if not self._is_edited:
                self._label, self._revision = self._first(), None

    def paint(self, box: Box, values: NDArray[np.uint8]) -> None:
        """Set a box of the working label to given values, but where the image holds nothing."""
        with self._lock:
            if not self._is_edited:
                self._edits.begin(self._label)
                self._is_edited = True
            values = self._where_void(values, box)
            self._edits.add(box, values)
            self._label[box] = values
            self._revision = None
            if self._edits.are_long:
                self._edits.begin(self._label)

    def paint_once(self, box: Box, values: NDArray[np.uint8], revision: str | None) -> str:
        """Set a box of the label of a revision, or of any; what is asked for again, as the answer was lost, is done.

        Returns:
            The revision then.

        Raises:
            RequestError: If the label is another.
        """
        asked = revision, box, revision_of(values, self._edits.key)
        with self._lock:
            if revision is None or self._painted != (asked, self.revision):
                with self.since(revision):
                    self.paint(box, values)
                self._painted = asked, self.revision
            return self.revision

    def revert(self, to: Source) -> None:
        """Replace the whole working label.

        Raises:
            RequestError: If there is no such label.
        """
        with self._lock:
            label = self._of(to)
            if label is None:
                raise RequestError(409, f"expected a {to} of '{self.case.name}', found none")
            if to == self._unedited:
                self._edits.remove()
            else:
                self._edits.begin(label)
            self._label, self._is_edited = label.copy(), to != self._unedited
            self._revision = None

    def prompt(self, corrector: Corrector, prompt: Prompt, revision: str | None = None) -> tuple[Change | None, str]:
        """Correct the label of a revision, or of any, by a prompt.

        Returns:
            What has changed, if anything has, and the revision then.

        Raises:
            RequestError: If the label is another, before the prompt is answered or after.
        """
        with self.since(revision):
            before = self._indices(prompt.slice)
        after = before.copy()
        corrector.correct(after, prompt)
        void = self.case.geometry.void
        changed = (after != before) if void is None else (after != before) & ~void.where[prompt.slice]
        with self.since(revision):
            return self._change(slice(prompt.slice, prompt.slice + 1), changed[None], after[None]), self.revision

    def interpolate(self, class_id: int, first: int, last: int) -> Change | None:
        """Draw a class in the slices between two that show it; None if nothing changes.

        Raises:
            RequestError: If there is no slice between them, or one of them does not show the class.
        """
        if not 0 <= first < last - 1 < len(self._label) - 1:
            raise RequestError(
                400, f"interpolate: expected two slices with others between them, found {first} and {last}"
            )
        with self._lock:
            ends = [self._label[index] == class_id for index in (first, last)]
            before = np.stack([self._indices(index) for index in range(first + 1, last)])
        for index, end in zip((first, last), ends, strict=True):
            if not end.any():
                raise RequestError(
                    409, f"interpolate: expected the class in slices {first} and {last}, found none in {index}"
                )
        _, *spacing = self.case.geometry.spacing or (1.0, 1.0, 1.0)
        drawn = np.stack(between(ends[0], ends[1], last - first - 1, (spacing[0], spacing[1])))
        # What the class has there and the shape has not is taken from it: the shape is what the object is there.
        after = np.where(drawn, np.int16(class_id), np.where(before == class_id, np.int16(0), before))
        changed = (after != before) & (before != IGNORE)
        return self._change(slice(first + 1, last), changed, after)

    def saved(self, label: NDArray[np.uint8]) -> None:
        """A label was written: it is the truth now, and nothing is unsaved unless it has changed meanwhile."""
        with self._lock:
            self.truth = label
            if np.array_equal(self._label, label):
                self._edits.remove()
                self._is_edited = False

    def _change(self, slices: slice, changed: NDArray[np.bool_], after: NDArray[np.int16]) -> Change | None:
        """Change some pixels of slices, and keep what has changed elsewhere since they were looked at."""
        if not changed.any():
            return None
        sides = [np.flatnonzero(changed.any(axis=tuple(others))) for others in ((1, 2), (0, 2), (0, 1))]
        z, y, x = (slice(int(places[0]), int(places[-1]) + 1) for places in sides)
        part = z, y, x
        box = slice(slices.start + z.start, slices.start + z.stop), y, x
        with self._lock:
            values = np.where(changed[part], after[part], self._label[box]).astype(np.uint8)
            self.paint(box, values)
        assert values.shape == shape_of(box)
        return box, values

    def _indices(self, index: int) -> NDArray[np.int16]:
        """Class indices of a slice, `IGNORE` where nothing counts."""
        plane = self._label[index]
        return np.where(plane == NOT_COUNTED, np.int16(IGNORE), plane.astype(np.int16))

    @property
    def _unedited(self) -> Source:
        """What the working label is before any change."""
        return "truth" if self.truth is not None else "prediction" if self.prediction is not None else "empty"

    def _of(self, source: Source) -> NDArray[np.uint8] | None:
        """A label by its source; None if there is none such."""
        return {"truth": self.truth, "prediction": self.prediction}[source] if source != "empty" else self.empty()

    def _first(self) -> NDArray[np.uint8]:
        """The working label before any change."""
        label = self._of(self._unedited)
        assert label is not None
        return label.copy()

    def _where_void(self, values: NDArray[np.uint8], box: Box | slice) -> NDArray[np.uint8]:
        """Values of a box of a label, of which those count nowhere that lie where the image holds nothing."""
        void = self.case.geometry.void
        return values if void is None else np.where(void.where[box], np.uint8(NOT_COUNTED), values)
