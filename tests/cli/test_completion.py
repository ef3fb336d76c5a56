"""Completion in shells: verbs, flags, choices and paths, from the same parsers as the command line itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from samtailor.cli.completion import Shell, completion

SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish")

BASH = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9
_shtab_samtailor samtailor "${{COMP_WORDS[-1]}}" "${{COMP_WORDS[-2]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def needed(shell: str) -> str:
    """Path of a shell; skips where it is not installed."""
    if not (path := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    return path


def completed(folder: Path, shell: Shell, line: str) -> list[str]:
    """What a shell offers for the last word of a line."""
    script = folder / f"samtailor.{shell}"
    script.write_text(completion(shell))
    if shell == "bash":
        words = " ".join(f"'{word}'" for word in line.split(" "))
        command = [needed(shell), "--norc", "-c", BASH.format(script=script, words=words)]
    else:
        command = [needed(shell), "--no-config", "-c", f"source {script}; complete -C '{line}'"]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return sorted(line.split("\t")[0] for line in output.splitlines() if line)


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("samtailor tune-b", ["tune-bias"]),
        ("samtailor predict --skip", ["--skip_existing"]),
        ("samtailor train --recipe ", ["adapter", "full", "head-only", "lora"]),
        ("samtailor predict run --tta b", ["both"]),  # of a type with None
        ("samtailor estimate data --loss.batch_dice ", ["false", "true"]),
        ("samtailor train --sampling.per", ["--sampling.per_epoch"]),
        ("samtailor train --epochs ", []),
        ("samtailor reproduce table", ["table1", "table2", "table3", "table4", "table5", "table6"]),
        ("samtailor completion f", ["fish"]),
    ],
)
def test_verbs_flags_and_choices_are_offered(tmp_path: Path, shell: Shell, line: str, offered: list[str]) -> None:
    assert completed(tmp_path, shell, line) == offered


@pytest.mark.parametrize("flag", ["predict ", "predict run image --out ", "train --config "])
def test_paths_are_offered_where_there_are_some(tmp_path: Path, flag: str) -> None:
    (tmp_path / "scans").mkdir()
    assert [path.rstrip("/") for path in completed(tmp_path, "fish", f"samtailor {flag}sc")] == ["scans"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_the_shell_reads(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "script").write_text(completion(shell))
    subprocess.run([needed(shell), "-n", str(tmp_path / "script")], check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_flags_that_the_help_hides_are_not_offered(shell: Shell) -> None:
    assert "Path to a configuration file" not in completion(shell)
