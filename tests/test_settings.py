"""Settings are listed once, in a dataclass; the function that takes them shows and documents them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest

from samtailor.errors import ConfigError
from samtailor.settings import Rare, from_plain, takes


@dataclass(frozen=True)
class Base:
    """Settings of many.

    Attributes:
        size: How large.
    """

    size: int = 3


@dataclass(frozen=True)
class Settings(Base):
    """Settings of one.

    Attributes:
        name: What it is called.
    """

    name: str = "a"
    depth: Rare[int] = 1


@takes(Settings)
def described(settings: Settings) -> str:
    """Describe something.

    Returns:
        A text.
    """
    return f"{settings.name}{settings.size}"


def test_the_function_takes_the_fields_as_keyword_arguments() -> None:
    assert list(inspect.signature(described).parameters) == ["size", "name", "depth"]
    assert described(name="b", size=4) == "b4"
    with pytest.raises(TypeError, match="nam"):
        described(nam="b")  # type: ignore[call-arg]


def test_its_documentation_is_its_own_with_all_settings() -> None:
    text = inspect.getdoc(described) or ""
    assert text.startswith("Describe something.")
    assert "size: How large." in text
    assert text.index("name: What it is called.") < text.index("Returns:")


@pytest.mark.parametrize(("content", "named"), [({"nam": "b"}, "nam"), ({"size": "four"}, "size")])
def test_plain_values_are_checked_as_on_the_command_line(content: dict[str, str], named: str) -> None:
    assert from_plain(Settings, {"size": 4}, "file.yaml") == Settings(size=4)
    with pytest.raises(ConfigError, match=rf"file\.yaml.*{named}"):
        from_plain(Settings, content, "file.yaml")
