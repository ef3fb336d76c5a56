"""A fitted segmenter as a folder that others can open."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

from samtailor.errors import ConfigError
from samtailor.files import read_json, write_json
from samtailor.models.hub import upload
from samtailor.models.segmenter_model import CONFIG_NAME, WEIGHTS_NAME, SegmenterModel
from samtailor.models.zoo import find_base
from samtailor.sharing.card import PICTURE_NAME, base_model, own_weights, write_card
from samtailor.sharing.folder import CARD_NAME, whole_folder
from samtailor.sharing.record import read_record

PEFT_NAME = "adapter_config.json"
NAMES = frozenset({CONFIG_NAME, WEIGHTS_NAME, PEFT_NAME, CARD_NAME, PICTURE_NAME})
"""Files of a shared segmenter."""


def save_pretrained(
    model: SegmenterModel, folder: Path, run: Path | None = None, picture: bool = False, name: str | None = None
) -> None:
    """Write a segmenter for others (see `Segmenter.save_pretrained`), under the folder's name if it has none.

    No file names a path of this machine. Weights of the base that are not the published ones are named by their
    file's name and checksum. Where a ConfigError is raised, nothing is written.
    """
    if model.recipe.is_merged(model.network):
        raise ConfigError(
            "segmenter: expected one that is not merged, as only what was trained is shared, found a merged one; "
            "load it again, or write the whole network with merge_and_export"
        )
    record = read_record(run, model, picture) if run else None
    with whole_folder(folder, NAMES) as scratch:
        model.save(scratch)
        content = read_json(scratch / CONFIG_NAME, dict, "")
        content["base"]["file"] = own_weights(model)  # a name, where the segmenter may have a path
        write_json(scratch / CONFIG_NAME, content)
        if (config := copy.copy(model.recipe.peft_config(model.network))) is not None:
            config.base_model_name_or_path = base_model(find_base(model.base.base))
            config.inference_mode = True
            config.save_pretrained(str(scratch))
        write_card(scratch, model, name or folder.resolve().name, record, "samtailor")


def push_to_hub(
    model: SegmenterModel, repo: str, run: Path | None = None, private: bool = False, picture: bool = False
) -> str:
    """Write what `save_pretrained` writes to the hub, and give its address (see `Segmenter.push_to_hub`)."""
    with tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        folder = Path(scratch) / "segmenter"
        save_pretrained(model, folder, run, picture, repo)
        return upload(folder, repo, private, NAMES)
