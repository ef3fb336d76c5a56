"""The documentation: links lead somewhere, commands are understood, names exist."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

import samtailor
from samtailor.cli import COMMANDS, main, parser_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
IS_ELSEWHERE = re.compile(r"[a-z]+:")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def prose_of(page: Path) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", page.read_text("utf-8"))


def blocks_of(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text("utf-8")) if kind == language]


@cache
def anchors_of(page: Path) -> list[str]:
    """Anchors of the headings, as GitHub and mkdocs.yml make them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@cache
def links_of(page: Path) -> list[tuple[Path, str]]:
    """Files of the repository that a page leads to, and where in them."""
    links = (link.partition("#") for link in LINK.findall(prose_of(page)) if not IS_ELSEWHERE.match(link))
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in links]


def commands_of(page: Path) -> list[str]:
    """Commands of SamTailor, each in one line, as the shell gives them to it."""
    lines = "\n".join(blocks_of(page, "")).replace("\\\n", " ").splitlines()
    return [line.split(" > ")[0] for line in lines if line.startswith("samtailor ")]


def require_understood(command: str) -> None:
    """A command line must be one of ours, whatever is in its files."""
    match shlex.split(command.replace("--print_config", ""), comments=True)[1:]:
        case ["train", "--resume", *rest]:
            parser_of("resume").parse(rest)
        case [verb, *rest] if verb in COMMANDS:
            parser_of(verb).parse(rest)
        case rest:
            assert main(rest) == 0, command


@each_page
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for target, anchor in links_of(page):
        assert target.exists(), target
        assert not anchor or anchors_of(target).count(anchor) == 1, f"{target}#{anchor}"


def test_every_page_is_found_from_the_readme() -> None:
    found = {README}
    while new := {target for page in found for target, _ in links_of(page) if target in PAGES} - found:
        found |= new
    assert found == set(PAGES)


@each_page
def test_commands_are_understood(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in commands_of(page):
        for config in map(Path, re.findall(r"--config (\S+)", command)):
            config.parent.mkdir(exist_ok=True)
            config.write_text("data: DATA")
        require_understood(command)


@each_page
def test_python_has_the_names_that_are_used(page: Path) -> None:
    for code in blocks_of(page, "python"):
        for name in re.findall(r"\bsamtailor\.(\w+)\(", code):
            assert hasattr(samtailor, name), name


def test_the_reference_has_all_public_names() -> None:
    shown = re.findall(r"^::: samtailor\.(\w+)$", prose_of(ROOT / "docs" / "api.md"), re.M)
    assert sorted(shown) == sorted(samtailor.__all__)


def test_pages_that_messages_name_are_there() -> None:
    sources = (path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = {name for source in sources for name in re.findall(r"\bdocs/[\w/-]+\.md\b", source)}
    assert "docs/guide/data.md" in named
    assert not [name for name in named if not (ROOT / name).is_file()]
