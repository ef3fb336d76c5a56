"""Measuring how much of a run's quality is left on corrupted images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.errors import ConfigError
from samtailor.metrics.protocols import PROTOCOLS, ProtocolName
from samtailor.outputs import require_free, require_place
from samtailor.refinement import Refine, chosen_refinement
from samtailor.runs import Run
from samtailor.settings import AnyPath, Count, Device, Precision, Rare, Seed, Split, checked

if TYPE_CHECKING:
    from samtailor.evaluation.robustness.results import Robustness


@checked
def robustness(
    run: AnyPath,
    data: AnyPath,
    split: Split = "test",
    others: Sequence[AnyPath] | None = None,
    baseline: AnyPath | None = None,
    corruptions: str = "auto",
    cases: Count | None = None,
    slices: Count | None = None,
    out: AnyPath | None = None,
    protocol: Rare[ProtocolName | None] = None,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Rare[Precision] = "auto",
    refine: Refine | None = None,
    seed: Rare[Seed] = 0,
    overwrite: bool = False,
) -> Robustness:
    """Score runs on corrupted images: DSC of every corruption and severity, and the corruption error.

    Each score is kept in its run as soon as it is known, so that an interrupted call goes on where it was, and another
    one, with more runs or corruptions, computes only what is new.

    Args:
        run: Directory of the run.
        data: Labelled folder with the run's classes.
        split: Cases to score. A folder that names no such split, but is the run's data, is split as in the run.
        others: Further runs, for the same tables and figure.
        baseline: Run whose corruption error is 1, and the others' are fractions of (mCE); without one they have none.
        corruptions: Kinds of damage joined by commas (docs/guide/robustness.md lists them); 'auto' are those of the
            data's modality.
        cases: So many cases of the split, drawn by the seed; by default all.
        slices: So many slices of each volume, evenly spread over those with labels; by default all. Steps after the
            network, which look at whole volumes, and rules of ranges of slices (flare22) are left out then.
        out: Where tables and the figure are written; evaluation/SPLIT-robustness in the run by default.
        protocol: Rules of the DSC; by default those of evaluate.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.
        refine: What is done to labels at the end (see `samtailor.predict`); by default what each segmenter was fitted
            with.
        seed: Seed of the damage and of the choice of cases.
        overwrite: Replace earlier results in `out`. Those in the run itself are replaced anyhow.

    Returns:
        The scores, as written.

    Raises:
        SamTailorError: If a setting is wrong, or runs, data, classes or split are not as expected.
    """
    from samtailor.data.corruptions import corruption_names
    from samtailor.data.dataset import open_dataset
    from samtailor.evaluation.cases import cases_of_split
    from samtailor.evaluation.comparison.results import distinct_names
    from samtailor.evaluation.robustness.results import RESULTS, Robustness, write_results
    from samtailor.evaluation.robustness.study import Study, chosen, require_comparable
    from samtailor.inference.predictor import choose_device

    choose_device(device, precision)  # refused, if at all, before anything is read
    refinement, first = chosen_refinement(refine), Run(Path(run))
    selection = first.selection
    target = Path(out) if out else first.evaluation(f"{split}-robustness")
    paths = _each_once([run, *(others or []), *([] if baseline is None else [baseline])])
    require_place(target, paths, data)
    if out:
        require_free([target / name for name in RESULTS], overwrite)
    dataset = open_dataset(Path(data), *selection)
    rules = protocol or dataset.protocol
    if slices is not None and PROTOCOLS[rules].slice_range:
        if protocol:
            raise ConfigError(
                f"protocol: expected one without ranges of slices with --slices, found {rules}; take nnunet"
            )
        rules = "nnunet"
    names = corruption_names(corruptions, "corruptions", dataset.channels, dataset.name)
    if not names:
        raise ConfigError("corruptions: expected at least one, found 'none'; take 'auto', or name some")
    available = cases_of_split(dataset, split, first.read_dataset()["splits"])
    files = chosen(available, cases, seed)
    for path in paths:
        require_comparable(path, dataset, slices, refinement)
        require_place(Run(path).evaluation(f"{split}-robustness"), data=data)
    study = Study(
        dataset.labels,
        files,
        rules,
        names,
        seed,
        slices,
        batch_size=batch_size,
        device=device,
        precision=precision,
        refinement=refinement,
    )
    scores = study.scores_of({path: Run(path).evaluation(f"{split}-robustness") / "kept" for path in paths})
    titles = dict(zip(paths, distinct_names(paths, paths), strict=True))
    result = Robustness(
        corruptions=names,
        dsc={titles[path]: values for path, values in scores.items()},
        baseline=None if baseline is None else titles[next(path for path in paths if _same(path, baseline))],
        data=dataset.root.resolve().name,
        split=split,
        cases=tuple(file.name for file in files),
        out_of=len(available),
        slices=slices,
        protocol=study.protocol,
        seed=seed,
    )
    write_results(result, target)
    return replace(result, folder=target)


def _each_once(runs: Sequence[AnyPath]) -> list[Path]:
    """The runs in their order, each once: the baseline may be one of the others."""
    found: list[Path] = []
    for run in map(Path, runs):
        if not any(_same(run, other) for other in found):
            found.append(run)
    return found


def _same(one: AnyPath, other: AnyPath) -> bool:
    return Path(one).resolve() == Path(other).resolve()
