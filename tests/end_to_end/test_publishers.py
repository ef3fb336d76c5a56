"""Each publisher's folder is checked, trained on and evaluated without any configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.evaluation.evaluate import evaluate
from samtailor.models.zoo import Base
from samtailor.training.train import train
from tests import generate_publishers


@pytest.mark.parametrize(
    "generate",
    [
        generate_publishers.flare22_folder,
        generate_publishers.btcv_folder,
        generate_publishers.sirst_folder,
        generate_publishers.gid5_scenes,
        generate_publishers.gid5_tiles,
    ],
)
def test_a_publisher_s_folder_needs_no_configuration(
    generate: Callable[[Path], Path], tmp_path: Path, tiny_base: Base
) -> None:
    data = generate(tmp_path / "data")
    assert check_dataset(data).errors == ()
    run = train(data=str(data), out=str(tmp_path / "run"), base=tiny_base.name, epochs=1, device="cpu")
    scores = evaluate(run.directory, data, "test", bootstrap=10, device="cpu")
    assert scores.protocol == open_dataset(data).protocol
    content = json.loads((run.directory / "evaluation" / "test" / "metrics.json").read_text())
    assert len(content["cases"]) == len(scores.cases) > 0
