"""Which classes there are, by what the labels of a folder hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from samtailor.data.formats import label_format_of
from samtailor.data.formats.label_content import Colour, LabelContent
from samtailor.data.formats.labelme import BACKGROUND as OWN_BACKGROUND
from samtailor.data.formats.labelme import IGNORED
from samtailor.data.layouts.mixtures import Value, pure_values
from samtailor.errors import FileError, counted, listed
from samtailor.labels import LabelSpace, default_palette

BACKGROUND = "background"
_BLACK: Colour = (0, 0, 0)
_WHITE = 255
_LARGEST_ID = 65535
_USUAL_IDS = 128  # classes are numbered from 0; what is above is a gray level, or stands for 'nothing'
_DENSE = 4  # of so many numbers at least one is the id of a class
_MOST_IDS, _MOST_COLOURS = 256, 256
_LEAST_COUNTED, _OBJECTS, _VARIED = 3, 8, 3  # labels; numbers in one of them; how many more these are than the fewest
_DARK, _BRIGHT = 40, 215
_WRITE = 'write the classes into dataset.json: {"classes": ["background", ...], "ids": [0, ...]}'
_IGNORE = 'write {{"labels": {{"background": 0, ..., "ignore": {}}}}} into dataset.json'
_IGNORE_OTHER = 'store 255 for it and write {{"classes": ["background", ...], "ignore_index": 255}} into dataset.json'


def classes_of(contents: Mapping[Path, LabelContent]) -> tuple[LabelSpace, str]:
    """The label space of labels, and what tells it, in words.

    The background is id 0 or black, whether it occurs or not. Other classes are called by id or colour unless the
    files have names for them; a single one is 'class 1'.

    Args:
        contents: What each label file holds.

    Raises:
        FileError: If they show no class but the background, more than can be classes, or do not go together.
    """
    kinds = {content.kind for content in contents.values()}
    if "names" in kinds:
        return _of_names(contents)
    if "colours" in kinds:
        return _of_colours(contents)
    palette = _shared_palette(contents)
    if "palette" in kinds and palette is None:
        return _of_colours(contents)
    return _of_ids(contents, palette or {})


def _of_ids(contents: Mapping[Path, LabelContent], palette: Mapping[int, Colour]) -> tuple[LabelSpace, str]:
    """Classes of gray levels, voxels and indices of one palette."""
    counts = _counted(contents.values())
    first = next(iter(contents))
    if wrong := [identifier for identifier in counts if not 0 <= identifier <= _LARGEST_ID]:
        file = next(file for file, content in contents.items() if wrong[0] in content.ids)
        fix = f"give the classes ids up to {_LARGEST_ID}"
        if wrong[0] < 0:
            fix = _IGNORE if label_format_of(file).volumes else _IGNORE_OTHER
            fix = f"if {wrong[0]} marks what counts nowhere, {fix.format(wrong[0])}; else number the classes from 0"
        raise FileError(file, f"label ids from 0 to {_LARGEST_ID}", str(wrong[0]), fix)
    if not palette and _are_soft(contents, counts):
        labels = LabelSpace((BACKGROUND, "class 1"), (0, _WHITE), default_palette(2), threshold=127)
        return labels, f"masks are white on black with soft edges, {len(counts)} levels: above 127 is white"
    _require_one_white(contents)
    ignore = _ignored(contents.values(), counts, indexed=bool(palette))
    ids = tuple(sorted({0, *counts} - {ignore}))
    if len(ids) < 2:
        expected = "pixels of a class in the labels, others than 0"
        raise FileError(
            first.parent, expected, f"none in {counted(len(contents), 'label')}", f"mark the objects, or {_WRITE}"
        )
    if len(ids) > _MOST_IDS or (len(ids) > _MOST_IDS // 4 and len(ids) * _DENSE < ids[-1]):
        expected = "an id for each class in the labels"
        found = f"{len(ids)} different numbers, up to {ids[-1]}"
        file = max(contents, key=lambda file: len(contents[file].ids))
        fix = f"if they number single objects, give all of a class its id; else {_WRITE}"
        raise FileError(file, expected, found, fix)
    _require_classes(contents)
    colours = _distinct(tuple(palette.get(identifier, _BLACK) for identifier in ids))
    names = _names(ids, contents.values())
    labels = LabelSpace(names, ids, colours or default_palette(len(ids)), ignore)
    told = "indices of the masks' palette" if palette else "the numbers in the labels"
    if ids == (0, _WHITE):
        told = "masks are white on black"
    if 0 not in counts:
        told += "; 0, the background, occurs nowhere"
    if ignore is not None:
        told += f"; {ignore} counts nowhere"
    elif any(len(content.counted) < len(content.ids) for content in contents.values()):
        told += "; what a file says is no data counts nowhere"
    return labels, told


def _of_colours(contents: Mapping[Path, LabelContent]) -> tuple[LabelSpace, str]:
    """Classes of colours; they are numbered in the order of their colours."""
    colours: Counter[Colour] = Counter()
    for file, content in contents.items():
        if content.kind == "ids" and set(content.ids) - {0}:
            other = next(other for other, content in contents.items() if content.kind != "ids")
            fix = f"store all masks as ids, or all in colours as {other.name} is"
            raise FileError(file, "a mask of colours like the others", "gray levels", fix)
        colours.update(content.colours or {_shown(content, identifier): n for identifier, n in content.ids.items()})
        if len(colours) > _MOST_COLOURS:
            expected = f"a colour for each class in the masks, at most {_MOST_COLOURS}"
            fix = "save masks without smoothing, as PNG (JPEG changes colours); if they are no masks, rename them"
            raise FileError(file, expected, f"{len(colours)}", fix)
    masks: dict[Path, Mapping[Value, int]] = {file: dict(content.colours.items()) for file, content in contents.items()}
    if pure := pure_values(masks.values()):
        raise _smoothed(masks, pure, "colour")
    others = sorted(set(colours) - {_BLACK})
    if not others:
        file = next(iter(contents))
        raise FileError(file.parent, "pixels of a class in the masks, others than black", "none", "mark the objects")
    palette = (_BLACK, *others)
    labels = LabelSpace(_names_of_colours(others), tuple(range(len(palette))), palette)
    absent = "" if _BLACK in colours else "; black, the background, occurs nowhere"
    return labels, f"the colours of the masks{absent}"


def _of_names(contents: Mapping[Path, LabelContent]) -> tuple[LabelSpace, str]:
    """Classes of outlines that are called by name, in the order of their names."""
    if other := next((file for file, content in contents.items() if content.kind != "names"), None):
        one = next(file for file, content in contents.items() if content.kind == "names")
        fix = f"convert one kind to the other, or {_WRITE}"
        raise FileError(other, f"outlines with names of classes, as in {one.name}", "numbers or colours", fix)
    counts = Counter(name for content in contents.values() for name in content.objects)
    names = sorted(counts.keys() - {IGNORED, OWN_BACKGROUND, BACKGROUND})
    if not names:
        file = next(iter(contents))
        raise FileError(file.parent, "outlines of objects", "none", "mark the objects")
    ignore = len(names) + 1 if IGNORED in counts else None
    return LabelSpace.from_names((BACKGROUND, *names), ignore), "the names of the outlines"


def _shown(content: LabelContent, identifier: int) -> Colour:
    return content.palette.get(identifier, _BLACK)


def _shared_palette(contents: Mapping[Path, LabelContent]) -> dict[int, Colour] | None:
    """Colour of each index of all masks with a palette; None if they contradict each other: colours tell then."""
    shared: dict[int, Colour] = {}
    for content in contents.values():
        for index, colour in content.palette.items():
            if shared.setdefault(index, colour) != colour:
                return None
    return shared


def _counted(contents: Iterable[LabelContent]) -> Counter[int]:
    """Pixels of each id, or level, but for what a file says is no data.

    Masks of one bit go with those of eight that are black and white.
    """
    contents = list(contents)
    eight_bits = {level for content in contents if content.step == 1 for level in (content.ids or _levels(content))}
    as_levels = bool(eight_bits - {0}) and eight_bits <= {0, _WHITE}
    counts: Counter[int] = Counter()
    for content in contents:
        factor = content.step if as_levels else 1
        counts.update({factor * identifier: number for identifier, number in content.counted.items()})
        counts.update(_levels(content))
    return counts


def _levels(content: LabelContent) -> dict[int, int]:
    """Pixels of each level of gray that is stored as colours."""
    return {red: number for (red, _, _), number in content.colours.items()}


def _are_soft(contents: Mapping[Path, LabelContent], counts: Mapping[int, int]) -> bool:
    """Whether gray levels are those of white on black with soft edges; voxels have none.

    Raises:
        FileError: If they are those of other classes with soft edges.
    """
    if max(counts) > _WHITE or any(label_format_of(file).volumes for file in contents):
        return False
    masks: dict[Path, Mapping[Value, int]] = {
        file: {(level,): number for level, number in _counted([content]).items()} for file, content in contents.items()
    }
    pure = pure_values(masks.values())
    if pure is None:
        return False
    if all(level <= _DARK or level >= _BRIGHT for (level,) in pure):
        return True
    raise _smoothed(masks, pure, "gray level")


def _smoothed(masks: Mapping[Path, Mapping[Value, int]], pure: Collection[Value], what: str) -> FileError:
    """The error of masks of several classes with soft edges: a pixel there may be of either, or of one between."""
    file = max(masks, key=lambda file: len(masks[file]))
    held = sum(number for mask in masks.values() for value, number in mask.items() if value in pure)
    share = held / sum(sum(mask.values()) for mask in masks.values())
    shown = listed([str(value[0] if len(value) == 1 else value) for value in pure])
    others = len(set().union(*masks.values())) - len(pure)
    found = f"{counted(len(pure), what)} ({shown}) in {share:.0%} of the pixels, and {others} between, as of soft edges"
    fix = "make the masks again, resized with nearest neighbours, as PNG; if all are classes, name them in dataset.json"
    return FileError(file, f"a {what} for each class in the masks", found, fix)


def _require_one_white(contents: Mapping[Path, LabelContent]) -> None:
    """Refuse masks of 0 and 1 among those of 0 and 255: white would be the class here and count nowhere there."""
    held = {file: set(content.ids) - {0} for file, content in contents.items() if content.step == 1}
    files = {white: [file for file, ids in held.items() if ids == {white}] for white in (1, _WHITE)}
    if all(files.values()) and all(len(ids) < 2 and ids <= {1, _WHITE} for ids in held.values()):
        found = " and ".join(f"{len(some)} of 0 and {white} such as {some[0].name}" for white, some in files.items())
        fix = (
            "write the objects of all with the same number; if 255 marks what counts nowhere, write "
            '{"classes": ["background", ...], "ignore_index": 255} into dataset.json'
        )
        raise FileError(files[1][0].parent, "masks of 0 and 1, or of 0 and 255", found, fix)


def _require_classes(contents: Mapping[Path, LabelContent]) -> None:
    """Refuse numbers of single objects: in each label all from 1 to as many as there are, in some far more of them."""
    held = {file: set(content.counted) - {0} for file, content in contents.items() if not content.names}
    sizes = [len(ids) for ids in held.values() if ids]
    are_counted = all(ids == set(range(1, len(ids) + 1)) for ids in held.values())
    if are_counted and len(sizes) >= _LEAST_COUNTED and max(sizes) >= _OBJECTS and max(sizes) - min(sizes) > _VARIED:
        file = max(held, key=lambda file: len(held[file]))
        found = f"all numbers from 1 on in each, up to {min(sizes)} in one and up to {max(sizes)} in this one"
        fix = f"they number single objects, as it seems: give all of a class its id; if they are classes, {_WRITE}"
        raise FileError(file, "an id for each class in the labels", found, fix)


def _ignored(contents: Iterable[LabelContent], counts: Mapping[int, int], indexed: bool = False) -> int | None:
    """The id that counts nowhere: what the files say is no data, or 255 beside classes that are numbered from 0.

    Indices of a palette are no gray levels, so that any class may have a small one.
    """
    if nodata := {content.nodata for content in contents if content.nodata}:
        one = max(nodata)
        return one if len(nodata) == 1 and 0 < one <= _LARGEST_ID else None
    others = set(counts) - {0, _WHITE}
    largest = _USUAL_IDS if indexed else min(_USUAL_IDS, _DENSE * (len(others) + 1))
    if _WHITE in counts and others and max(others) < largest:
        return _WHITE
    return None


def _distinct(colours: tuple[Colour, ...]) -> tuple[Colour, ...] | None:
    """The colours, if each class has one of its own."""
    return colours if len(set(colours)) == len(colours) else None


def _names(ids: tuple[int, ...], contents: Iterable[LabelContent]) -> tuple[str, ...]:
    """Names of classes: the files' own, if all that have some agree on them; else by their ids."""
    named: dict[int, str] = {}
    for content in contents:
        for identifier, name in (content.names or {}).items():
            if named.setdefault(identifier, name) != name:
                return _names(ids, ())
    if set(ids) <= named.keys() and len({named[identifier] for identifier in ids}) == len(ids):
        return tuple(named[identifier] for identifier in ids)
    numbers = ids if len(ids) > 2 or ids[-1] < _USUAL_IDS else (0, 1)
    return (BACKGROUND, *(f"class {number}" for number in numbers[1:]))


def _names_of_colours(colours: Sequence[Colour]) -> tuple[str, ...]:
    """Names of classes by their colours: numbers would mean others in a folder of other colours."""
    if len(colours) == 1:
        return BACKGROUND, "class 1"
    return (BACKGROUND, *(f"colour {bytes(colour).hex()}" for colour in colours))
