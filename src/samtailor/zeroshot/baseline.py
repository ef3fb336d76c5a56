"""Scoring what a base model finds without fitting."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.outputs import require_place
from samtailor.settings import takes
from samtailor.zeroshot.settings import BaselineConfig

if TYPE_CHECKING:
    from samtailor.evaluation.scores import Scores


@takes(BaselineConfig)
def baseline(config: BaselineConfig) -> Scores:
    """Score what a base model finds without fitting: an upper bound that uses the ground truth.

    Of images of neither one nor three channels the base sees the mean of the channels. An interrupted baseline goes on
    when it is started again with the same settings and `out`.

    Returns:
        The scores, an upper bound, as written to `out`.

    Raises:
        SamTailorError: If data, base, weights or settings are not as expected; nothing is written.
    """
    from samtailor.data.cache import SliceCache
    from samtailor.data.dataset import open_dataset
    from samtailor.data.intensity import intensity_of, resolve_intensity
    from samtailor.data.preprocessing import Preprocessing
    from samtailor.evaluation.cases import cases_of_split
    from samtailor.inference.predictor import choose_device
    from samtailor.models.zoo import find_base, weights_files
    from samtailor.zeroshot.image_input import InputRule
    from samtailor.zeroshot.run import BaselineWork, claim

    choose_device(config.device)
    require_place(config.out, data=config.data, is_run=True)
    base = find_base(config.base)
    InputRule.from_base(base, config.image_size)
    weights_files(config.base, config.weights)
    dataset = open_dataset(Path(config.data), *config.selection).with_default_split()
    files = cases_of_split(dataset, config.split, {})
    config = replace(
        config,
        data=str(Path(config.data).resolve()),
        out=str(config.out),
        intensity=resolve_intensity(config.intensity, dataset.bits, dataset.channels),
        protocol=config.protocol or dataset.protocol,
        **asdict(config.generator().for_base(base)),
    )
    size = config.image_size or base.image_size
    preprocessing = Preprocessing(
        intensity_of(config.intensity), size, None, len(dataset.channels), bands=dataset.bands
    )
    work = BaselineWork(config, dataset, SliceCache(dataset.labels, preprocessing))
    claim(work, files)
    return work.finish(files)
