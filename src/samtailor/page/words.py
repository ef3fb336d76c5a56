"""What the words of a request mean: numbers, classes and prompts, each refused where it is none."""

from __future__ import annotations

from typing import Any

from samtailor.inference.prompt import Prompt
from samtailor.labels import LabelSpace
from samtailor.page.request_error import RequestError

_FAR = 10**9  # beyond any image


def whole_number(text: Any, name: str) -> int:
    """A whole number of an address or a JSON object.

    Raises:
        RequestError: If it is none.
    """
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    if type(text) is int and abs(text) < _FAR:
        return text
    raise RequestError(400, f"{name}: expected a whole number, found {text!r:.40}")


def class_of(content: dict[str, Any], labels: LabelSpace) -> int:
    """The index of a class in a JSON object.

    Raises:
        RequestError: If it is none.
    """
    found = whole_number(content.get("class"), "class")
    if not 0 <= found < len(labels):
        raise RequestError(400, f"class: expected an index up to {len(labels) - 1}, found {found}")
    return found


def prompt_of(content: dict[str, Any], labels: LabelSpace) -> Prompt:
    """The prompt that a JSON object describes.

    Raises:
        RequestError: If it describes none.
    """
    name = labels.names[class_of(content, labels)]
    index = whole_number(content.get("slice", 0), "slice")
    points, beside = (_points(content.get(key), key) for key in ("points", "not_points"))
    box = None
    if content.get("box") is not None:
        left, top, right, bottom = _numbers(content["box"], 4, "box")
        box = left, top, right, bottom
    return Prompt(name, index, points, beside, box)


def _points(content: Any, key: str) -> tuple[tuple[float, float], ...]:
    """Columns and rows of a list of points."""
    if content is None:
        return ()
    if not isinstance(content, list):
        raise RequestError(400, f"{key}: expected a list of [x, y], found {content!r:.40}")
    points = [_numbers(point, 2, key) for point in content]
    return tuple((x, y) for x, y in points)


def _numbers(content: Any, count: int, key: str) -> list[float]:
    is_list = isinstance(content, list) and len(content) == count
    if not is_list or not all(type(number) in (int, float) and abs(number) < _FAR for number in content):
        raise RequestError(400, f"{key}: expected {count} numbers, found {content!r:.40}")
    return [float(number) for number in content]
