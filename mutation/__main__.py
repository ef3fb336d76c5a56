"""Which share of one-line mutations of the core the tests notice.

First the suite runs once and says which lines each test runs. Then each mutant is imported in place of its module by a
process of its own, which runs the tests that reach the changed line, those of its own package first, until one fails.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[1]
CORE = ("models", "recipes", "losses.py", "training", "inference", "metrics")
HEAVY = (
    "torch",
    "lightning.pytorch",
    "monai.transforms",
    "transformers",
    "peft",
    "matplotlib",
    "nibabel",
    "scipy.ndimage",
)

Reached = dict[str, dict[int, list[str]]]
"""Tests by module (path from the root) and line."""


def main() -> int:
    """Mutate, test, print a line for each mutant and the share of those that were noticed."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("parts", nargs="*", default=CORE, help="packages or modules below src/samtailor")
    parser.add_argument("--sample", type=int, default=200, help="mutants drawn from all; 0 takes every one")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument(
        "--seconds", type=float, default=90, help="for the tests of one mutant; longer counts as noticed"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument(
        "--coverage", type=Path, help="file that keeps which test reaches which line, for the next call"
    )
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    reached = _reached(arguments.coverage, arguments.jobs)
    modules = [file for part in arguments.parts for file in _files(ROOT / "src" / "samtailor" / part)]
    mutants = [mutant for module in modules for mutant in mutants_of(module)]
    if arguments.sample:
        drawn = sorted(random.Random(arguments.seed).sample(range(len(mutants)), min(arguments.sample, len(mutants))))
        mutants = [mutants[i] for i in drawn]
    for name in HEAVY:  # once, for all processes
        importlib.import_module(name)
    survived = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for mutant, verdict in pool.map(lambda one: (one, _verdict(one, reached, arguments.seconds)), mutants):
            survived += verdict in ("SURVIVED", "not reached")
            place = f"{mutant.module.relative_to(ROOT)}:{mutant.line}"
            print(f"{verdict:<12} {place}  {mutant.change}", flush=True)
    killed = len(mutants) - survived
    print(f"{killed} of {len(mutants)} mutants noticed ({killed / max(len(mutants), 1):.1%}), seed {arguments.seed}")
    return 0


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _reached(kept: Path | None, jobs: int) -> Reached:
    """Tests that run each line, from the file or by running the suite with coverage."""
    if kept and kept.is_file():
        known: dict[str, dict[str, list[str]]] = json.loads(kept.read_text(encoding="utf-8"))
        return {module: {int(line): tests for line, tests in lines.items()} for module, lines in known.items()}
    from coverage import CoverageData

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "coverage"
        options = [
            "-n",
            str(jobs),
            "--dist",
            "loadfile",
            "--cov=samtailor",
            "--cov-context=test",
            "--cov-report=",
            "--ignore=tests/fuzz",
        ]
        environment = os.environ | {"COVERAGE_FILE": str(data)}
        subprocess.run([sys.executable, "-m", "pytest", "-q", *options], env=environment, check=True)
        coverage = CoverageData(str(data))
        coverage.read()
        reached = {
            str(Path(file).relative_to(ROOT)): {
                line: sorted({_test(context) for context in contexts if context})
                for line, contexts in coverage.contexts_by_lineno(file).items()
            }
            for file in coverage.measured_files()
        }
    if kept:
        kept.write_text(json.dumps(reached), encoding="utf-8")
    return reached


def _test(context: str) -> str:
    """What to run: the test, or its whole file where the line is run by a fixture, which several tests may share."""
    test, _, phase = context.partition("|")
    return test if phase == "run" else test.partition("::")[0]


def _verdict(mutant: Mutant, reached: Reached, seconds: float) -> str:
    """Whether a test that reaches the changed line fails."""
    name = str(mutant.module.relative_to(ROOT))
    lines = reached.get(name, {})
    tests = sorted({test for line in (*mutant.statement, mutant.line) for test in lines.get(line, [])})
    if not tests:  # what a module does when it is imported is run by nobody's test alone
        if not _is_of_module(mutant):
            return "not reached"
        tests = sorted({test for found in lines.values() for test in found})
    files = {test for test in tests if "::" not in test}
    own = mutant.module.relative_to(ROOT / "src" / "samtailor").parts
    tests = [test for test in tests if test in files or test.partition("::")[0] not in files]
    tests.sort(key=lambda test: (mutant.module.stem not in test, own[0].removesuffix(".py") not in test, test))
    scratch = tempfile.mkdtemp()
    child = os.fork()
    if child == 0:
        _run(mutant, tests, Path(scratch))
    try:
        return _wait(child, seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_of_module(mutant: Mutant) -> bool:
    """Whether the line is outside of functions, so that it is run at import."""
    functions = [
        node
        for node in ast.walk(ast.parse(mutant.module.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    return not any(node.body[0].lineno <= mutant.line <= (node.end_lineno or 0) for node in functions)


def _wait(child: int, seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "SURVIVED" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return "killed (time)"


def _run(mutant: Mutant, tests: list[str], scratch: Path) -> None:
    """In the child: import the mutant in place of its module, run the tests, and end with their exit status."""
    import pytest

    os.setpgid(0, 0)
    with (scratch / "output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.meta_path.insert(0, _Importer(mutant))
    sys.path.insert(0, str(ROOT / "src"))
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:cov",
        f"--basetemp={scratch / 'tests'}",
    ]
    os._exit(int(pytest.main([*options, *tests])))


class _Importer(MetaPathFinder):
    """Gives the mutant's source when its module is imported, and leaves all others to Python."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin != str(self.mutant.module):
            return None
        spec.loader = _Loader(fullname, self.mutant)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, mutant: Mutant) -> None:
        super().__init__(fullname, str(mutant.module))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.mutant.source, self.path, "exec")
        return code


if __name__ == "__main__":
    sys.exit(main())
