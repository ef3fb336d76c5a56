"""The label space: ordered class names, their ids in the files, colours, and the ignore id."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.errors import DataError
from samtailor.settings import Checked, Within, hints_of, require

IGNORE = -1
"""Class index of pixels that count nowhere: not in the loss, not in the metrics."""

_UNKNOWN = -2
_RARE = {"threshold", "column", "layer"}
_LARGEST_TABLE = 1 << 20  # entries; ids that lie farther apart are searched
# Okabe and Ito's colour-blind safe palette, then colours that stay apart from it and from each other.
_DISTINCT = bytes.fromhex(
    "e69f00 56b4e9 009e73 f0e442 0072b2 d55e00 cc79a7 e6194b 46f0f0 911eb4 aaff82 804614 ffbed2 808000 bebeff"
)


def _is_control(letter: str) -> bool:
    """Whether a letter would break a line or a table, or is no Unicode."""
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def default_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Black for the background, then distinct colours, as (R, G, B) in 0..255."""
    import colorsys

    distinct = zip(*[iter(_DISTINCT)] * 3, strict=True)
    extra = max(0, classes - 1 - len(_DISTINCT) // 3)
    hues = ((0.61803 * i) % 1.0 for i in range(extra))  # the golden ratio spreads any number of hues
    spread = [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(h, 0.75, 0.9)) for h in hues]
    return ((0, 0, 0), *distinct, *spread)[:classes]


_LARGEST_ID = (1 << 31) - 1

Id = Annotated[int, Within(-_LARGEST_ID, _LARGEST_ID)]
"""An id in a label file, of at most 32 bits."""

Level = Annotated[int, Within(0, 255)]


@dataclass(frozen=True)
class LabelSpace(Checked):
    """Ordered classes of a task.

    Attributes:
        names: Class names; the first is the background.
        ids: The id of each class in label files, in the order of `names`.
        palette: (R, G, B) of each class, 0..255.
        ignore_id: Id in label files of pixels that count nowhere, if any.
        threshold: Gray level of pictures of masks above which a pixel is of the second of two classes, whatever its
            level exactly; None where levels are ids.
        column: Column of vector labels that holds the class, by name or id; None is 'class'.
        layer: Layer of vector labels; None is the only one.
    """

    names: tuple[str, ...]
    ids: tuple[Id, ...]
    palette: tuple[tuple[Level, Level, Level], ...]
    ignore_id: Id | None = None
    threshold: Annotated[int, Within(-1, 65535)] | None = None
    column: str | None = None
    layer: str | None = None

    @classmethod
    def from_names(cls, names: tuple[str, ...], ignore_id: int | None = None) -> Self:
        """Classes with ids 0, 1, 2, ... and default colours."""
        return cls(names, tuple(range(len(names))), default_palette(len(names)), ignore_id)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= len(self.names) == len(self.ids) == len(self.palette):
            raise DataError(
                f"label space: expected at least two classes with one id and one colour each, found "
                f"{len(self.names)} names, {len(self.ids)} ids, {len(self.palette)} colours"
            )
        if self.threshold is not None and len(self.names) != 2:
            raise DataError(f"label space: expected two classes with a threshold, found {len(self.names)}")
        if wrong := [name for name in self.names if not name.strip() or any(map(_is_control, name))]:
            raise DataError(
                f"label space: expected class names of letters that can be shown, found {wrong}; rename them"
            )
        for what, values in (("name", self.names), ("id", self.ids)):
            if len(set(values)) != len(values):
                raise DataError(f"label space: a class {what} occurs twice in {values}; make them distinct")

    def __len__(self) -> int:
        return len(self.names)

    def to_indices(self, ids: NDArray[Any]) -> NDArray[np.int16]:
        """Class indices of an array of file ids; the ignore id becomes `IGNORE`.

        Raises:
            DataError: If an id is in no class, or the array does not hold integers; names the ids.
        """
        if ids.dtype.kind not in "iu":
            raise DataError(f"expected integer label ids, found {ids.dtype}")
        table = {identifier: index for index, identifier in enumerate(self.ids)}
        if self.ignore_id is not None:
            table[self.ignore_id] = IGNORE
        low, high = min(table), max(table)
        look_up = _table(table) if high - low < _LARGEST_TABLE else _search(table)
        indices = np.empty(ids.shape, dtype=np.int16)
        for part in blocks(ids.shape):
            indices[part] = look_up(np.clip(ids[part], low, high))
        if ids.min() < low or ids.max() > high or (indices == _UNKNOWN).any():
            unknown = sorted(set(np.unique(ids).tolist()) - table.keys())
            raise DataError(f"expected label ids {sorted(table)}, found {unknown[:10]}")
        return indices

    def to_ids(self, indices: NDArray[Any]) -> NDArray[Any]:
        """File ids of an array of class indices, in the smallest type that holds them.

        Raises:
            DataError: If a pixel is `IGNORE` and the label space has no ignore id.
        """
        ids = np.array(self.ids)
        if indices.min() < 0:
            if self.ignore_id is None:
                fix = "give the label space an ignore id"
                raise DataError(f"expected a class for every pixel, found ignored ones; {fix}")
            ids = np.append(ids, self.ignore_id)  # the last one, where `IGNORE` points
        smallest = np.promote_types(np.min_scalar_type(ids.min()), np.min_scalar_type(ids.max()))
        table, result = ids.astype(smallest), np.empty(indices.shape, smallest)
        for part in blocks(indices.shape):  # NumPy makes 8 bytes of each index it looks up
            result[part] = table[indices[part]]
        return result

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of `from_json`."""
        content = asdict(self)
        # Most have none of these; what was written before there were any stays as it is.
        return {name: value for name, value in content.items() if value is not None or name not in _RARE}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Label space of a plain dictionary."""
        require(content, hints_of(cls))
        palette = tuple((int(r), int(g), int(b)) for r, g, b in content["palette"])
        return cls(**{**content, "names": tuple(content["names"]), "ids": tuple(content["ids"]), "palette": palette})


def _table(indices: Mapping[int, int]) -> Callable[[NDArray[Any]], NDArray[np.int16]]:
    """Indices of ids by a table of all between the lowest and the highest: much faster than sorting a volume's ids."""
    low, high = min(indices), max(indices)
    table = np.full(high - low + 1, _UNKNOWN, dtype=np.int16)
    table[np.array(list(indices)) - low] = list(indices.values())
    return lambda ids: table[ids.astype(np.int64) - low]


def _search(indices: Mapping[int, int]) -> Callable[[NDArray[Any]], NDArray[np.int16]]:
    """Indices of ids that lie too far apart for a table."""
    known = np.array(sorted(indices), dtype=np.int64)
    values = np.array([indices[identifier] for identifier in known.tolist()], dtype=np.int16)

    def look_up(ids: NDArray[Any]) -> NDArray[np.int16]:
        wanted = ids.astype(np.int64)
        place = np.searchsorted(known, wanted)  # within the array, as no id is above the highest
        return np.where(known[place] == wanted, values[place], np.int16(_UNKNOWN))

    return look_up
