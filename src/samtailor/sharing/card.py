"""The model card: what a stranger must know before trusting a segmenter, as Markdown with Hugging Face's metadata."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from samtailor.data.channels import needs_projection
from samtailor.data.intensity import ByChannel, CTWindow, Intensity, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.files import write_text
from samtailor.labels import LabelSpace
from samtailor.models.checkpoints import checksum
from samtailor.models.hub import HubFile
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.sources import cached_path, is_hub_name
from samtailor.models.zoo import Base, find_base
from samtailor.recipes import recipe_to_json
from samtailor.reporting.table import Table
from samtailor.sharing.folder import CARD_NAME
from samtailor.sharing.record import Record

PICTURE_NAME = "overlay.png"

_SPLITS = {"train": "training", "val": "validation", "test": "test"}


def write_card(
    folder: Path, model: SegmenterModel, name: str, record: Record | None, library: str, use: str | None = None
) -> None:
    """Write the model card, and the picture that it shows if there is one.

    `name` is the folder's or that on the hub; `use` says how `library` opens it, by `samtailor.load` if None.
    """
    base, weights = find_base(model.base.base), own_weights(model)
    quality = record.quality if record else None
    cases = record.cases.items() if record else ()
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    # Not ModelCard.from_template, where a misspelt name in the template passes as empty.
    templates = Environment(loader=PackageLoader("samtailor.sharing"), undefined=StrictUndefined)
    text = templates.get_template("model_card.md").render(
        card_data=_metadata(model, base, name, record, library).to_yaml(),
        name=name,
        model=model,
        base=base,
        weights=weights,
        file_needed=weights is not None and not is_hub_name(weights),
        use=use,
        kind="png" if model.preprocessing.channels == 3 or model.preprocessing.seen is not None else "nii.gz",
        quality=quality,
        split=_SPLITS[quality.split] if quality else None,
        picture=PICTURE_NAME,
        role=quality.picture.stem.removeprefix("overlay_") if quality and quality.picture else None,
        classes=_class_table(model.labels).to_markdown().strip(),
        parameters=sum(size for size, _ in sizes),
        trained=sum(size for size, is_trained in sizes if is_trained),
        preprocessing=model.preprocessing,
        channels=_channels(model.preprocessing, record),
        intensity=_intensity(model.preprocessing.intensity),
        mean=_numbers(base.mean),
        std=_numbers(base.std),
        record=record,
        cases=", ".join(f"{count} {_SPLITS.get(split, split)}" for split, count in cases),
    )
    write_text(folder / CARD_NAME, str(ModelCard(text)))
    if quality and quality.picture:
        shutil.copyfile(quality.picture, folder / PICTURE_NAME)


def base_model(base: Base) -> str:
    """Name of a base on the hub, or in the zoo if the hub does not have it."""
    source = base.weights
    return source.repo if isinstance(source, HubFile) else base.name


def own_weights(model: SegmenterModel) -> str | None:
    """What others may read of the base's weights: a hub name, or the name of a file or folder; None if published."""
    file = model.base.file
    if file is None:
        return None
    published = cached_path(find_base(model.base.base).weights)
    if published is not None and checksum([published]) == model.base.sha256:
        return None
    return file if is_hub_name(file) else Path(file).name


def _metadata(model: SegmenterModel, base: Base, name: str, record: Record | None, library: str) -> ModelCardData:
    """The card's metadata, as the hub reads them."""
    results = None
    if record and record.quality and record.quality.dsc is not None:
        result = EvalResult(
            task_type="image-segmentation",
            dataset_type=re.sub(r"[^a-z0-9]+", "-", record.data.lower()).strip("-") or "data",
            dataset_name=record.data,
            dataset_split=record.quality.split,
            metric_type="dice",
            metric_name="mean DSC without background",
            metric_value=round(record.quality.dsc, 4),
        )
        results = [result]
    return ModelCardData(
        library_name=library,
        license=base.licence.lower() if own_weights(model) is None else "unknown",
        base_model=base_model(base),
        pipeline_tag="image-segmentation",
        tags=["samtailor", "segment-anything", "image-segmentation", recipe_to_json(model.recipe)["name"]],
        metrics=["dice"],
        model_name=name,
        eval_results=results,
    )


def _class_table(labels: LabelSpace) -> Table:
    """The label space."""
    rows = [
        (name, str(identifier), "#{:02x}{:02x}{:02x}".format(*colour))
        for name, identifier, colour in zip(labels.names, labels.ids, labels.palette, strict=True)
    ]
    ignored = () if labels.ignore_id is None else (f"Pixels of id {labels.ignore_id} counted nowhere.",)
    return Table(("class", "id in the masks", "colour"), tuple(rows), ignored)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _channels(preprocessing: Preprocessing, record: Record | None) -> str:
    """What an image must have, and how it meets the network's three channels."""
    if preprocessing.bands:
        taken = f"; of each file its bands {', '.join(map(str, preprocessing.bands))} are taken"
        return _channels(replace(preprocessing, bands=None), record) + taken
    channels = preprocessing.channels
    names = f" ({', '.join(record.channels)})" if record and record.channels else ""
    if channels == 1:
        if preprocessing.neighbours:
            return f"1{names}; the network's three are a slice with those before and behind it"
        return f"1{names}, repeated for the network"
    what = ", which a learned projection brings to the network's three" if needs_projection(channels) else ""
    return f"{channels}{names}, in this order{what}" if names else f"{channels}{what}"


def _intensity(intensity: Intensity) -> str:
    """An intensity scaling in words."""
    match intensity:
        case ByChannel():
            every = [_intensity(one) for one in intensity.channels]
            if len(set(every)) == 1:
                return f"in each channel, {every[0]}"
            return "; ".join(f"channel {number}: {what}" for number, what in enumerate(every, start=1))
        case CTWindow():
            low, high = intensity.level - intensity.width / 2, intensity.level + intensity.width / 2
            what = f"window of level {intensity.level:g} and width {intensity.width:g}: {low:g} to {high:g}"
        case Range():
            what = f"{intensity.low:g} to {intensity.high:g}"
        case Percentile():
            what = f"percentiles {intensity.low:g} to {intensity.high:g} of each case"
    return f"{what} become 0 to 1"
