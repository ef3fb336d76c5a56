"""Loading the network of a fitted segmenter from wherever it lies: a run, a folder, the model hub."""

from __future__ import annotations

from pathlib import Path

from samtailor.errors import WeightsError
from samtailor.models.hub import fetch_segmenter
from samtailor.models.segmenter_model import CONFIG_NAME, WEIGHTS_NAME, SegmenterModel
from samtailor.runs import Run


def load_model(source: str | Path, weights: str | Path | None = None) -> SegmenterModel:
    """Load the network of a segmenter, in evaluation mode, on the CPU.

    From its folder, the directory of a run, or a name on the hub ('owner/name'), downloaded once into the cache; a
    folder goes before a name. `weights` are the base's, if they are not where they were.
    """
    folder = Path(source)
    if not folder.exists():
        if folder.is_absolute() or len(folder.parts) != 2:
            raise WeightsError(
                f"{source}: expected a run, the folder of a segmenter, or the name of one on the hub (owner/name), "
                "found nothing there; check the path"
            )
        folder = fetch_segmenter(str(source), (CONFIG_NAME, WEIGHTS_NAME))
    elif not (folder / CONFIG_NAME).is_file():
        folder = Run(folder).segmenter_directory
    return SegmenterModel.load(folder, weights)
