"""Splits that are drawn: always the same of the same cases, whatever the seed of a training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

_SEED = 0
FOLDS = 5
_NNUNET_SEED = 12345  # of nnU-Net's `generate_crossval_split`


def nnunets_folds(names: Sequence[str], count: int = FOLDS) -> list[dict[str, tuple[str, ...]]]:
    """The folds that nnU-Net makes of these cases: scikit-learn's `KFold(5, shuffle=True, random_state=12345)`."""
    order = np.arange(len(names))
    np.random.RandomState(_NNUNET_SEED).shuffle(order)
    ordered = sorted(names)
    parts = [tuple(ordered[index] for index in sorted(part)) for part in np.array_split(order, count)]
    return folds_of(parts)


def folds_of(parts: Sequence[Sequence[str]]) -> list[dict[str, tuple[str, ...]]]:
    """Training and validation cases of each fold, whose validation cases are one of the parts."""
    return [
        {"train": tuple(sorted(name for part in parts if part is not val for name in part)), "val": tuple(sorted(val))}
        for val in parts
    ]


def stratified(
    traits: Mapping[str, frozenset[Hashable]], blocks: Sequence[Hashable], sizes: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """Parts of cases in which each trait, such as a class, has about its share of the cases; blocks stay whole.

    The cases with the rarest trait are dealt out first, each block to the part that lacks most of it (Sechidis et al.
    2011, https://doi.org/10.1007/978-3-642-23808-6_10).

    Args:
        traits: Traits of each case, by its name.
        blocks: Block of each case, in the same order.
        sizes: How many cases each part should have, all cases together.

    Returns:
        Names of the cases of each part, sorted; no part is empty if there are as many blocks as parts.
    """
    members: dict[Hashable, list[str]] = defaultdict(list)
    for name, block in zip(traits, blocks, strict=True):
        members[block].append(name)
    groups = [members[list(members)[index]] for index in np.random.default_rng(_SEED).permutation(len(members))]
    counts = [Counter(one for name in group for one in traits[name]) for group in groups]
    total = _added(counts)
    lacking = {part: {one: n * size / len(traits) for one, n in total.items()} for part, size in sizes.items()}
    room = {part: float(size) for part, size in sizes.items()}
    parts: dict[str, list[int]] = {part: [] for part in sizes}
    left = list(range(len(groups)))
    while left:
        present = _added(counts[index] for index in left)
        rarest = min(present, key=lambda one: (present[one], str(one)), default=None)
        dealt = [index for index in left if rarest is None or counts[index][rarest]]
        for number, index in enumerate(sorted(dealt, key=lambda index: -len(groups[index]))):
            open_parts = [part for part in sizes if room[part] > 0] or list(sizes)
            if rarest is not None:
                without = [part for part in open_parts if not any(counts[other][rarest] for other in parts[part])]
                if len(dealt) - number <= len(without):  # a trait is in as many parts as it can be
                    open_parts = without
            part = max(open_parts, key=lambda part: (lacking[part][rarest] if rarest is not None else 0, room[part]))
            parts[part].append(index)
            room[part] -= len(groups[index])
            for one, number in counts[index].items():
                lacking[part][one] -= number
        done = set(dealt)
        left = [index for index in left if index not in done]
    for part in [part for part in sizes if not parts[part]]:
        richest = max(parts, key=lambda other: len(parts[other]))
        if len(parts[richest]) > 1:
            smallest = min(parts[richest], key=lambda index: len(groups[index]))
            parts[richest].remove(smallest)
            parts[part].append(smallest)
    return {part: tuple(sorted(name for index in chosen for name in groups[index])) for part, chosen in parts.items()}


def _added(counts: Iterable[Counter[Hashable]]) -> Counter[Hashable]:
    """All counts together; `sum` would make a Counter for each."""
    total = Counter[Hashable]()
    for count in counts:
        total.update(count)
    return total
