"""The command line as a process: it stops with one line whenever it is told to, and shows whatever a name holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import samtailor
from samtailor.__main__ import SPINS

# A call into samtailor stands where the import of something heavy would: a signal comes while it runs.
SLOW = """
import sys, time, types
from samtailor import __main__
def main():
    print("ready", flush=True)
    {work}
sys.modules["samtailor.cli"] = types.SimpleNamespace(main=main)
sys.exit(__main__.run())
"""
WORKS = {
    "plain": "time.sleep(20)",
    "an exception of its own": "try: time.sleep(20)\n    except KeyboardInterrupt: raise ImportError('half')",
    "where nothing can be raised": """
    class Slow:
        def __del__(self): time.sleep(20)
    slow = Slow(); del slow
    time.sleep(20)""",
}


def started(program: str) -> subprocess.Popen[str]:
    """A process that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_a_stop_ends_with_one_line_and_the_code_of_shells(number: signal.Signals, work: str) -> None:
    process = started(SLOW.format(work=work))
    process.send_signal(number)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert error.strip() == "samtailor: interrupted"


def test_a_stop_that_is_ignored_from_outside_stays_ignored() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"  # nohup
    process = started(ignoring + SLOW.format(work="time.sleep(1); return 5"))
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=10) == 5


def test_whoever_reads_no_further_gets_no_complaint() -> None:
    process = started(SLOW.format(work="time.sleep(0.3); print('x' * 100_000); return 0"))
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=10) == 128 + signal.SIGPIPE
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["completion", "fish"], ["check", "{data}"]])
def test_nothing_is_complained_of_where_only_the_head_is_read(words: list[str], nnunet_folder: Path) -> None:
    command = [sys.executable, "-m", "samtailor", *(word.format(data=nnunet_folder) for word in words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    error = process.stderr.read()
    # argparse keeps it to itself that nobody reads its help.
    assert process.wait(timeout=60) == (0 if words == ["train", "--help"] else 128 + signal.SIGPIPE)
    assert b"Error" not in error


def ended(*words: str, flags: tuple[str, ...] = (), **environment: str) -> tuple[int, bytes]:
    """Exit code and both streams of the command line."""
    command, env = [sys.executable, *flags, "-m", "samtailor", *words], {**os.environ, **environment}
    result = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return result.returncode, result.stdout


def test_any_name_is_shown_on_any_terminal(tmp_path: Path) -> None:
    name = os.fsdecode(b"no utf-8 \xff")
    for encoding in ("ascii", "utf-8"):
        code, output = ended("check", str(tmp_path / name), PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0")
        assert code == 2
        assert b"\\udcff" in output
        assert b"Traceback" not in output


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("precision: gefäß", encoding="utf-8")
    words = ("train", "data", "--out", str(tmp_path / "run"), "--config", str(tmp_path / "c.yaml"))
    code, output = ended(*words, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="utf-8")
    assert code == 2
    assert "found gefäß" in output.decode()


def test_python_without_docstrings_is_refused_by_name() -> None:
    code, output = ended("check", "data", flags=("-OO",))
    assert code == 2
    assert b"expected Python to keep docstrings" in output
    assert ended("--help", flags=("-OO",))[0] == 0


def test_a_working_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    source = Path(samtailor.__file__).parents[1]
    program = f"cd {gone} && rmdir {gone} && PYTHONPATH={source} exec {sys.executable} -P -m samtailor check data"
    result = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "expected a working directory" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is what torch computes with on Linux")
@pytest.mark.parametrize(("set_by_user", "expected"), [(None, SPINS), ("7", "7")])
def test_threads_leave_the_cores_to_others_unless_the_user_says_otherwise(
    set_by_user: str | None, expected: str
) -> None:
    others = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    env = others | {"OMP_DISPLAY_ENV": "verbose"} | ({"GOMP_SPINCOUNT": set_by_user} if set_by_user else {})
    command = [sys.executable, "-c", SLOW.format(work="import torch")]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{expected}'" in result.stderr
