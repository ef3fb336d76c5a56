"""The verb: everything is asked before it listens, the address is told, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import samtailor
from samtailor.cli import main, parser_of
from samtailor.errors import ConfigError
from samtailor.models.zoo import Base
from samtailor.page.beginning import begun

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "run", "data"),
    [
        ("RUN", "RUN", None),
        ("RUN DATA", "RUN", "DATA"),
        ("--base sam-vit-b DATA", "DATA", None),
        ("DATA --port 0", "DATA", None),
    ],
)
def test_words_of_the_command_line(line: str, run: str, data: str | None) -> None:
    settings = parser_of("app").parse(line.split()).settings
    assert (settings.get("run"), settings.get("data")) == (run, data)


def test_the_help_shows_that_words_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["app", "--help"])
    assert "samtailor app [RUN] [DATA] [options]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "run: expected a run or --base, found neither"),
        (["nowhere"], "nowhere: expected a run"),
        (["--base", "tiny-sam"], "data: expected a folder of images with --base"),
        (["--base", "tiny-sam", "nowhere"], "expected a folder of images, found nothing"),
        (["--base", "unknown", "data"], "unknown"),
        (["RUN", "DATA", "--base", "tiny-sam"], "either a run or --base"),
        (["RUN", "DATA", "--classes", "x"], "classes of --classes"),
        (["RUN", "DATA", "--host", "256.1.1.1"], "host: expected an address of this machine"),
        (["RUN", "DATA", "--port", "70000"], "port: expected"),
        (["RUN", "DATA", "--out", "DATA/runs"], "out: expected a folder apart"),
    ],
)
def test_what_is_wrong_is_told_before_anything_listens(
    words: list[str],
    message: str,
    made_pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(made_pictures / "run"), "DATA": str(made_pictures / "data")}
    placed = [word.replace("DATA", places["DATA"]) if word != "RUN" else places["RUN"] for word in words]
    assert main(["app", *placed, *([] if "--port" in words else ["--port", "0"])]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken(made_pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"found {port}, where another program listens; take --port 0"):
            samtailor.app(made_pictures / "run", port=port)


def test_without_the_packages_the_extra_is_named(
    made_pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["app", str(made_pictures / "run")]) == 2
    assert "pip install 'samtailor[app]'" in capsys.readouterr().err


@contextmanager
def served(program: str, *words: object, tmp: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves a page, and what it prints until it has."""
    environment = {**os.environ, "TMPDIR": str(tmp), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", program, *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    guard = threading.Timer(150, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        guard.cancel()
        process.kill()


def test_it_serves_until_ctrl_c(tiny_base: Base, pictures: Path, tmp_path: Path) -> None:
    words = [tiny_base.weights, "app", pictures / "run", "--port", "0", "--device", "cpu"]
    with served("tests.page.program", *words, tmp=tmp_path) as (process, line):
        address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{30,}", line)
        assert address is not None
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"<html" in opener.open(address[0]).read()
        place = address[0].split("?")[0]
        found = json.load(opener.open(f"{place}api/project"))
        assert found["title"] == "data"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{place}api/project")
        assert refused.value.code == 401
        fit = urllib.request.Request(f"{place}api/fit", data=b'{"time": "1h"}', method="POST")
        assert json.load(opener.open(fit))["state"] == "running"
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait() == 0, rest
    assert rest.strip().endswith("stopped")
    assert "Traceback" not in rest
    assert not list(tmp_path.glob("samtailor-app-*"))


def test_ctrl_c_ends_predictions_where_they_report(tiny_base: Base, volumes: Path, tmp_path: Path) -> None:
    """They would go on for ten minutes."""
    words = [tiny_base.weights, "app", volumes / "run", "--port", "0", "--device", "cpu"]
    with served("tests.page.slow", *words, tmp=tmp_path) as (process, line):
        assert process.stdout is not None
        address = re.search(r"http://\S+/", line)
        assert address is not None
        headers = {"Authorization": f"Bearer {line.strip().partition('token=')[2]}"}
        ask = urllib.request.Request(f"{address[0]}api/cases/0/predict", method="POST", headers=headers)

        def given_up() -> None:
            with suppress(OSError):
                urllib.request.urlopen(ask)

        asking = threading.Thread(target=given_up)
        asking.start()
        while process.stdout.readline() != "computing\n":
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        asking.join(10)
        rest = process.stdout.read()
    assert rest.strip().endswith("stopped")
    assert "Traceback" not in rest


def test_a_folder_is_open_on_one_page_only(tiny_base: Base, pictures: Path, tmp_path: Path) -> None:
    project, _ = begun(pictures / "run", pictures / "data", None, None, None, "cpu", None)
    words = [tiny_base.weights, "app", pictures / "run", pictures / "data", "--port", "0", "--device", "cpu"]
    with project.alone(), served("tests.page.program", *words, tmp=tmp_path) as (process, line):
        assert process.stdout is not None
        told = line + process.stdout.read()
        assert process.wait() == 2
    assert f"expected a folder that no other page has open, found {pictures / 'data'} open on one" in told
    with project.alone(), pytest.raises(ConfigError, match="no other page"), project.alone():
        pass
