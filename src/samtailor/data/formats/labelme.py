"""LabelMe's JSON (https://github.com/wkentaro/labelme), as AnyLabeling writes it too: a file for each picture.

Its shapes call their classes by name. A shape called `__ignore__` is of pixels that count nowhere, as in LabelMe's own
lists of labels, and one called `_background_` of the background.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.outlines import OutlineFile, enclosed
from samtailor.errors import FileError, listed
from samtailor.files import made_of, read_json
from samtailor.labels import LabelSpace

IGNORED, BACKGROUND = "__ignore__", "_background_"
"""Names of shapes that are of no class."""

_HEAD = 1 << 12  # bytes within which shapes begin, but in files with sorted keys: those have the picture before them
_BEFORE = (b'"imageData"', b'"imagePath"')
_FIX = "save it with LabelMe again"


class LabelMeFormat(OutlineFile):
    """Polygons, rectangles, circles and masks of one picture."""

    suffixes: ClassVar = (".json",)

    def holds_outlines(self, path: Path) -> bool:
        """Whether a JSON file holds shapes."""
        with path.open("rb") as file:
            head = file.read(_HEAD)
            return b'"shapes"' in head or (any(key in head for key in _BEFORE) and b'"shapes"' in head + file.read())

    def annotated_size(self, path: Path) -> tuple[int, int] | None:
        """Size that the file says, if it does."""
        content = _content(path)
        rows, columns = content.get("imageHeight"), content.get("imageWidth")
        return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None

    def objects(self, path: Path, labels: LabelSpace, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The shapes, in the order of the file."""
        known = dict(zip(labels.names, labels.ids, strict=True)) | {BACKGROUND: labels.ids[0]}
        if labels.ignore_id is not None:
            known[IGNORED] = labels.ignore_id
        for number, (name, shape) in enumerate(_shapes(path), start=1):
            if name not in known:
                fix = "rename the shape, or add the class to dataset.json"
                if name == IGNORED:
                    fix = 'write an "ignore_index" into dataset.json that is no class\'s id, or take the shape away'
                raise FileError(path, f"shapes of the classes {listed(labels.names)}", f"'{name}'", fix)
            with made_of(path, f"an area as shape {number}, '{name}'", "draw it as an area, or take it away"):
                yield known[name], _mask_of(shape, size)

    def content(self, path: Path) -> LabelContent:
        """Shapes of each class."""
        return LabelContent("names", objects=Counter(name for name, _ in _shapes(path)))

    def read_names(self, path: Path) -> dict[int, str] | None:
        """None: there are no ids."""
        return None


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path, dict, _FIX)
    return content


def _shapes(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and content of each shape."""
    with made_of(path, "LabelMe's shapes, each with a label", _FIX):
        shapes = [(str(shape["label"]), shape) for shape in _content(path)["shapes"]]
    if wrong := next((repr(name) for name, _ in shapes if not (name.strip() and name.isprintable())), None):
        raise FileError(path, "a name that can be shown for each shape", wrong, "name the shape, or take it away")
    return shapes


def _mask_of(shape: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a shape is, (H, W).

    Raises:
        ValueError: If it has no area.
    """
    points = np.array(shape["points"], np.float64)
    match shape.get("shape_type") or "polygon":
        case "rectangle" if len(points) == 2:
            (left, top), (right, bottom) = points
            return enclosed([(left, top), (right, top), (right, bottom), (left, bottom)], size)
        case "rectangle" | "polygon" | "rotation":
            return enclosed(points, size)
        case "circle":
            (x, y), rim = points
            rows, columns = np.ogrid[: size[0], : size[1]]
            distance = np.hypot(rows + 0.5 - y, columns + 0.5 - x)
            return np.asarray(distance < np.hypot(*(rim - (x, y))))
        case "mask":
            return _pasted(shape["mask"], points, size)
        case kind:
            raise ValueError(f"a {kind}")


def _pasted(packed: str, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask that the file holds as a PNG, whose first and last pixel are told."""
    (left, top), _ = points.round().astype(int)
    with PngImageFile(io.BytesIO(base64.b64decode(packed))) as image:
        columns, rows = image.size
        if left < 0 or top < 0 or left + columns > size[1] or top + rows > size[0]:
            raise ValueError(f"a mask of {rows} x {columns} pixels from row {top}, column {left}")
        mask = np.zeros(size, np.bool_)
        mask[top : top + rows, left : left + columns] = np.asarray(image.convert("L")) > 0
    return mask
