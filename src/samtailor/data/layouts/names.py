"""What the names of folders and files say: image or label, training or test, and of which case."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Literal

from samtailor.settings import Split

Role = Literal["image", "label", "other"]


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_IMAGES = _set_of(
    "image images img imgs picture pictures photo photos jpegimages input inputs scan scans volume volumes frame "
    "frames imaging sat"
)
_LABELS = _set_of(
    "label labels lbl lbls mask masks seg segs segmentation segmentations gt groundtruth truth annotation "
    "annotations annot annots target targets manual"
)
_OTHERS = _set_of(
    "object objects instance instances box boxes bbox bboxes color colors colour overlay vis visualization "
    "visualisation viz"
)
"""Words that make of a folder of labels one of something else: single objects, boxes, drawings."""
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
_SHORT = frozenset(("tr", "ts", "dev"))
_KINDS = _set_of("png jpg jpeg tif tiff nii gz bit class raw id ids ground fine left dir data")
"""Words that say nothing of what a folder holds."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")

_LABEL_WORD = (
    r"gt(?:fine|coarse)(?:[_-]label(?:train)?ids?)?|masks?|labels?|lbl|seg(?:mentation)?s?|gt|ground[_-]?truth|truth|"
    r"annot(?:ation)?s?|manual\d?|pixels0|target"
)
_IMAGE_WORD = r"images?|imgs?|imaging|im|sat|rgb|raw|orig(?:inal)?|scan|vol(?:ume)?"
_APART = r"[_\-. ]"
_LABEL_AFFIX, _IMAGE_AFFIX = (
    re.compile(
        rf"(?P<last>{_APART}(?:{word})(?P<number>[_-]?\d+)?$)|(?P<first>^(?:{word})(?:{_APART}|(?=\d)))|^(?:{word})$",
        re.IGNORECASE,
    )
    for word in (_LABEL_WORD, _IMAGE_WORD)
)
_DRAWN = re.compile(rf"{_APART}(?:gt(?:fine|coarse){_APART})?(?:colou?rs?|instance_?ids?|overlay|vis)$", re.IGNORECASE)


def role_of_folder(name: str) -> Role | None:
    """What a folder holds by its name; None if that does not say."""
    words = _words(name)
    if words & _LABELS:
        return "other" if words & _OTHERS else "label"
    return "image" if words & _IMAGES else None


def may_be_drawn(name: str) -> bool:
    """Whether a folder of labels, beside another one, may be a drawing of these in colours."""
    return bool(_words(name) & {"rgb", "colored", "coloured", "preview"})


def split_of(name: str) -> Split | None:
    """The split that the name of a folder or a list says; None if it says none."""
    splits = {_SPLITS[word] for word in _split_words(name)}
    return splits.pop() if len(splits) == 1 else None


def _split_words(name: str) -> Set[str]:
    """Words of a name that say a split; short ones as words of their own (imagesTs, ts_list), not in names (BraTS)."""
    return {word for word in _words(name) if word in _SPLITS and (word not in _SHORT or _stands_alone(word, name))}


def _stands_alone(word: str, name: str) -> bool:
    """Whether a short word is between others in a name, or begins with a capital behind a small letter."""
    return bool(re.search(rf"(?:(?<![^\W_])(?i:{word})|(?<=[a-z]){word.capitalize()})(?![^\W_])", name))


def rest_of_folder(name: str) -> str:
    """What of a folder's name tells cases apart: the name without role, split and kind of file."""
    splits = _split_words(name)
    if not splits and not _words(name) & (_IMAGES | _LABELS):
        return name
    known = _IMAGES | _LABELS | _OTHERS | splits | _KINDS
    return "-".join(word for word in _in_order(name) if word not in known and word != "8")


def without_label_affix(stem: str) -> str | None:
    """A stem without the word that makes it a label's, before or behind (with a number); None if it has none."""
    return _without(_LABEL_AFFIX, stem)


def without_image_affix(stem: str) -> str | None:
    """A stem without the word that makes it an image's, before or behind (with a number); None if it has none."""
    return _without(_IMAGE_AFFIX, stem)


def numbered_label(stem: str) -> str | None:
    """The stem `x_1` of a label `x_mask_1`, whose number may be the case's; None if none is behind the word."""
    return _numbered(_LABEL_AFFIX, stem)


def numbered_image(stem: str) -> str | None:
    """The stem `x_1` of an image `x_image_1`; None if no number is behind the word."""
    return _numbered(_IMAGE_AFFIX, stem)


def is_drawn(stem: str) -> bool:
    """Whether the stem is of a drawing made of a label, or of the numbers of objects."""
    return bool(_DRAWN.search(stem))


def undrawn(stem: str) -> str:
    """The stem of what a drawing is made of."""
    return _DRAWN.sub("", stem)


def _without(affix: re.Pattern[str], stem: str) -> str | None:
    if match := affix.search(stem):
        return stem[: match.start()] + stem[match.end() :]
    return None


def _numbered(affix: re.Pattern[str], stem: str) -> str | None:
    match = affix.search(stem)
    if match is None or not match["number"]:
        return None
    apart = "_" if match["number"].isdecimal() else ""  # 1_mask1 is none of case 11
    return stem[: match.start()] + apart + match["number"]


def _in_order(name: str) -> list[str]:
    """Words of a name in lower case: 'trainImages', 'train_images' and 'TrainImages' have the same."""
    words = []
    for word in (found.lower() for found in _WORD.findall(name)):
        split = next((split for split in _SPLITS if word.startswith(split) and _is_role(word[len(split) :])), "")
        words += [split, word[len(split) :]] if split else [word]
    return words


def _words(name: str) -> set[str]:
    return set(_in_order(name))


def _is_role(word: str) -> bool:
    return word in _IMAGES or word in _LABELS
