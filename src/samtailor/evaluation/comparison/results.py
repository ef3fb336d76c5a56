"""Results to compare: read from metrics.json, named, and held to be comparable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import ConfigError, DataError, FileError
from samtailor.files import made_of, read_json
from samtailor.metrics.confusion import nan_mean
from samtailor.settings import Split, require

_FILE = "metrics.json"
_VOXELS = "truth_voxels"


@dataclass(frozen=True)
class ScoredResult:
    """One metric of one set of scores.

    Attributes:
        name: What it is called on the page.
        file: Where it was read.
        protocol: Rules by which it was scored.
        classes: Names of the classes but the first, the background; K.
        cases: Names of the cases, N.
        values: Score of each case and class, (N, K); NaN where the protocol leaves a class out.
        voxels: Voxels of each case and class in the truth, (N, K); NaN where the file does not tell.
        upper_bound: How the ground truth was used to make the masks, if it was.
        source: What was scored, in words; empty if the file does not tell.
        ignores_background: Whether the pixels of the background were left out.
    """

    name: str
    file: Path
    protocol: str
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    values: NDArray[np.float64]
    voxels: NDArray[np.float64]
    upper_bound: str | None = None
    source: str = ""
    ignores_background: bool = False

    def case_means(self) -> NDArray[np.float64]:
        """Mean of each case over the classes that count, (N,); NaN where none does."""
        return nan_mean(self.values)

    def take(self, cases: Sequence[str], classes: Sequence[str]) -> ScoredResult:
        """The same scores of some cases and classes, in a given order."""
        part = np.ix_([self.cases.index(name) for name in cases], [self.classes.index(name) for name in classes])
        return replace(
            self, cases=tuple(cases), classes=tuple(classes), values=self.values[part], voxels=self.voxels[part]
        )


def read_results(
    paths: Sequence[Path], metric: str, split: str, names: Sequence[str] | None = None
) -> list[ScoredResult]:
    """Read and name results: metrics.json files, folders that hold one, or runs, of which a split is taken."""
    if len(paths) < 2:
        raise ConfigError(f"results: expected at least two to compare, found {len(paths)}")
    if names is not None and (len(names) != len(paths) or len(set(names)) < len(names)):
        raise ConfigError(
            f"names: expected a different name for each of the {len(paths)} results; found {', '.join(names)}"
        )
    files = [find_metrics(path, split) for path in paths]
    return [_read(file, name, metric) for file, name in zip(files, names or distinct_names(paths, files), strict=True)]


def find_metrics(path: Path, split: str) -> Path:
    """The metrics.json of a file, a folder or a run."""
    evaluation = path / "evaluation"
    for file in (path, path / _FILE, evaluation / split / _FILE):
        if file.is_file():
            return file
    if not path.exists():
        raise DataError(f"{path}: expected a metrics.json, a folder that holds one, or a run; found nothing there")
    splits = [name for name in get_args(Split) if (evaluation / name / _FILE).is_file()]
    if splits:
        raise DataError(
            f"{path}: expected scores of split '{split}'; found those of {', '.join(splits)}: take --split {splits[0]}"
        )
    raise DataError(
        f"{path}: expected {_FILE}, or that of a run in evaluation/{split}; found neither; "
        f"samtailor evaluate {quote(str(path))} DATA --split {split} scores a run"
    )


def distinct_names(paths: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Shortest ends of the given paths that tell the results apart; equal paths are numbered."""
    folders = [(p if p.is_dir() else file.parent).resolve() for p, file in zip(paths, files, strict=True)]
    runs = [folder.parents[1] if folder.parent.name == "evaluation" else folder for folder in folders]
    if len(set(runs)) == len(set(folders)):  # a run is known by its name, unless two of its splits are compared
        folders = runs
    names = []
    for place, folder in enumerate(folders):
        others = {other for other in folders if other != folder}
        lengths = range(1, len(folder.parts))
        endings = (length for length in lengths if all(o.parts[-length:] != folder.parts[-length:] for o in others))
        name = "/".join(folder.parts[-next(endings, len(folder.parts)) :])
        copy = folders[:place].count(folder) + 1
        names.append(name if copy == 1 else f"{name} ({copy})")
    return names


def _read(file: Path, name: str, metric: str) -> ScoredResult:
    """One metrics.json."""
    content = read_json(file, dict, "give one that samtailor evaluate writes")
    if not content.get("cases") or not content.get("classes"):
        raise DataError(f"{file}: expected the scores of cases that samtailor evaluate writes; found none")
    if not isinstance(content.get("protocol"), str):
        raise DataError(
            f"{file}: expected the name of a protocol; found none, an older version wrote this file; "
            "score again with samtailor evaluate or samtailor score"
        )
    with made_of(file, "the scores that samtailor evaluate writes", "score again"):
        require(content, {"classes": list[str], "cases": dict, "upper_bound": str | None, "rules": dict})
        _, *classes = content["classes"]
        cases: dict[str, dict[str, dict[str, Any]]] = content["cases"]
        keys = dict.fromkeys(key for case in cases.values() for scores in case.values() for key in scores)
        if metric not in keys:
            found = ", ".join(key for key in keys if not key.endswith("voxels"))
            raise FileError(file, f"the metric '{metric}' of each case and class", found, "choose one of these")
        values, voxels = (_array(cases, classes, key) for key in (metric, _VOXELS))
    return ScoredResult(
        name,
        file,
        content["protocol"],
        tuple(classes),
        tuple(cases),
        values,
        voxels,
        content.get("upper_bound"),
        _in_words(content.get("source")),
        "background" in content.get("rules", {}),
    )


def _array(cases: dict[str, dict[str, dict[str, Any]]], classes: Sequence[str], key: str) -> NDArray[np.float64]:
    """One number of each case and class, (N, K), NaN where it is null or absent."""
    rows = [[case.get(name, {}).get(key) for name in classes] for case in cases.values()]
    if wrong := [value for row in rows for value in row if isinstance(value, float) and not math.isfinite(value)]:
        raise ValueError(f"{wrong[0]} as a score")
    return np.array(rows, dtype=np.float64).reshape(len(cases), len(classes))


def _in_words(source: Any) -> str:
    """What was scored, for a table."""
    if isinstance(source, dict):
        return ", ".join(f"{key} {value}" for key, value in source.items() if value is not None)
    return str(source or "")


def align(results: Sequence[ScoredResult], common: bool) -> list[ScoredResult]:
    """The same results on the same cases and classes, in the order of the first one.

    Raises:
        DataError: If protocols, the background or truths differ; or cases or classes, unless only those that are
            `common` are wanted.
    """
    first, *others = results
    for result in others:
        if result.protocol != first.protocol:
            raise DataError(
                f"expected results of one protocol; found '{first.protocol}' in {first.file} and "
                f"'{result.protocol}' in {result.file}, whose numbers cannot be compared; score one of them again"
            )
        if result.ignores_background != first.ignores_background:
            ignoring, other = (result, first) if result.ignores_background else (first, result)
            raise DataError(
                f"expected results that count the background alike; found it left out in {ignoring.file}, not in "
                f"{other.file}; score one of them again"
            )
    cases = _shared("cases", {result.file: result.cases for result in results}, common)
    classes = _shared("classes", {result.file: result.classes for result in results}, common)
    first, *others = aligned = [result.take(cases, classes) for result in results]
    for result in others:
        unlike = np.argwhere(np.abs(result.voxels - first.voxels) > 0)  # NaN is no difference
        if len(unlike):
            case, name = unlike[0]
            raise DataError(
                f"{cases[case]}: expected the same truth in {first.file} and {result.file}; found "
                f"{first.voxels[case, name]:.0f} and {result.voxels[case, name]:.0f} voxels of {classes[name]}; "
                "score both against the same label files"
            )
    return aligned


def left_out(found: Sequence[ScoredResult], shared: ScoredResult) -> tuple[str, ...]:
    """Cases and classes of some results that are not compared, in words."""
    cases = dict.fromkeys(name for result in found for name in result.cases if name not in shared.cases)
    classes = dict.fromkeys(name for result in found for name in result.classes if name not in shared.classes)
    return tuple(f"{what}: {', '.join(names)}" for what, names in (("cases", cases), ("classes", classes)) if names)


def _shared(what: str, found: dict[Path, tuple[str, ...]], common: bool) -> list[str]:
    """Names that all files have, in the order of the first; refused if some have more, unless common ones will do."""
    (first, names), *others = found.items()
    shared = [name for name in names if all(name in theirs for _, theirs in others)]
    if not shared:
        raise DataError(
            f"expected results of the same {what}; found none that is in all of {', '.join(map(str, found))}"
        )
    for file, theirs in others:
        differing = [f"{name} only in {first}" for name in names if name not in theirs]
        differing += [f"{name} only in {file}" for name in theirs if name not in names]
        if differing and not common:
            more = len(differing) - 6
            listed = "; ".join(differing[:6]) + (f"; and {more} more" if more > 0 else "")
            raise DataError(f"expected results of the same {what}; found {listed}; --common compares what all have")
    return shared
