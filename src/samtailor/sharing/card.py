"""The model card: what a stranger must know before trusting a segmenter, as Markdown with Hugging Face's metadata."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from samtailor.data.intensity import CTWindow, Intensity, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.models.checkpoints import checksum
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.sources import HubFile, cached_path, is_hub_name
from samtailor.models.zoo import Base, find_base
from samtailor.recipes.recipe import recipe_to_json
from samtailor.reporting.table import Table
from samtailor.sharing.record import Quality, Record

PICTURE_NAME = "overlay.png"

_SPLITS = {"train": "training", "val": "validation", "test": "test"}


def model_card(model: SegmenterModel, name: str, record: Record | None, use: str, library: str = "samtailor") -> str:
    """Text of the model card.

    Args:
        model: What the card describes.
        name: Name of the shared model: its folder's, or its name on the hub.
        record: What the run knows; None if there is no run.
        use: How it is opened, Markdown.
        library: Library that opens it.
    """
    quality = record.quality if record else None
    sections = {
        "Use": use,
        "Classes": _classes(model.labels),
        "Scores": _scores(quality),
        "Network": _network(model),
        "Preprocessing": _preprocessing(model.preprocessing, find_base(model.base.base)),
        "Data and training": _data(record),
        "Intended use and limits": _LIMITS,
    }
    return "\n".join(
        [
            "---",
            _metadata(model, name, record, library).to_yaml(),
            "---",
            "",
            f"# {name}",
            "",
            _summary(model),
            *([] if quality is None or quality.picture is None else ["", _picture(quality)]),
            *(line for heading, text in sections.items() for line in ("", f"## {heading}", "", text.strip())),
            "",
        ]
    )


def how_to_load(model: SegmenterModel, name: str) -> str:
    """How a shared segmenter is opened with samtailor, Markdown.

    Args:
        model: The segmenter.
        name: What `samtailor.load` takes: a folder or a name on the hub.
    """
    kind = "png" if model.preprocessing.channels == 3 else "nii.gz"
    weights = own_weights(model)
    must_be_given = weights is not None and not is_hub_name(weights)
    arguments = f'"{name}", weights="FILE"' if must_be_given else f'"{name}"'
    lines = [
        "```python",
        "import samtailor",
        "",
        f"segmenter = samtailor.load({arguments})",
        f'segmenter.predict("case.{kind}").save("case_seg.{kind}")',
        "```",
        "",
    ]
    if must_be_given:
        lines += [
            f"It stands on weights of `{model.base.base}` that are not the published ones: FILE is `{weights}`, "
            f"sha256 `{model.base.sha256}`.",
        ]
    else:
        lines += ["```shell", f"samtailor predict {name} case.{kind} --out masks", "```"]
    return "\n".join([*lines, "", "This does what stands under Preprocessing; the mask has the image's own grid."])


def base_model(base: Base) -> str:
    """Name of a base on the hub, or in the zoo if the hub does not have it."""
    source = base.weights()
    return source.repo if isinstance(source, HubFile) else base.name


def own_weights(model: SegmenterModel) -> str | None:
    """What others may read of the base's weights: a hub name, or the name of a file or folder; None if published."""
    file = model.base.file
    if file is None:
        return None
    published = cached_path(find_base(model.base.base).weights())
    if published is not None and checksum([published]) == model.base.sha256:
        return None
    return file if is_hub_name(file) else Path(file).name


def _metadata(model: SegmenterModel, name: str, record: Record | None, library: str) -> ModelCardData:
    """The card's metadata, as the hub reads them."""
    base = find_base(model.base.base)
    quality = record.quality if record else None
    results = []
    if record and quality and quality.dsc is not None:
        result = EvalResult(
            task_type="image-segmentation",
            dataset_type=re.sub(r"[^a-z0-9]+", "-", record.data.lower()).strip("-") or "data",
            dataset_name=record.data,
            dataset_split=quality.split,
            metric_type="dice",
            metric_name="mean DSC without background",
            metric_value=round(quality.dsc, 4),
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
        eval_results=results or None,
    )


def _summary(model: SegmenterModel) -> str:
    """What it is, in two sentences."""
    return (
        f"A class-aware segmenter of {len(model.labels)} classes: the Segment Anything model "
        f"`{model.base.base}`, fitted with samtailor. It takes an image and no prompt, and gives a class for "
        "each pixel."
    )


def _picture(quality: Quality) -> str:
    """The picture and what it shows."""
    assert quality.picture is not None
    role = quality.picture.stem.removeprefix("overlay_")
    alt = f"Image, truth and prediction of one case of the {_SPLITS[quality.split]} split"
    return f"![{alt}]({PICTURE_NAME})\n\nThe {role} case of the {_SPLITS[quality.split]} split by mean DSC."


def _classes(labels: LabelSpace) -> str:
    """The label space."""
    rows = [
        (name, str(identifier), "#{:02x}{:02x}{:02x}".format(*colour))
        for name, identifier, colour in zip(labels.names, labels.ids, labels.palette, strict=True)
    ]
    ignored = () if labels.ignore_id is None else (f"Pixels of id {labels.ignore_id} counted nowhere.",)
    return Table(("class", "id in the masks", "colour"), tuple(rows), ignored).to_markdown()


def _scores(quality: Quality | None) -> str:
    """How good it is."""
    if quality is None:
        return "Not evaluated."
    return f"On the {_SPLITS[quality.split]} split:\n\n{quality.table}"


def _network(model: SegmenterModel) -> str:
    """Base, recipe and parameters."""
    base = find_base(model.base.base)
    weights = own_weights(model)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained = sum(size for size, is_trained in sizes if is_trained)
    published = f"{base.source}; licence {base.licence}"
    own = f"`{weights}`, sha256 `{model.base.sha256}`; their licence is not known here"
    return _listed(
        {
            "Base": f"{base.name} ({published if weights is None else own})",
            "Recipe": f"`{model.recipe}`",
            "Parameters": f"{sum(size for size, _ in sizes):,}, of which {trained:,} were trained",
        }
    )


def _preprocessing(preprocessing: Preprocessing, base: Base) -> str:
    """What is done to an image before the network."""
    size = preprocessing.image_size
    seen = "the whole slice" if preprocessing.field is None else f"windows of {preprocessing.field} pixels that overlap"
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (base.mean, base.std))
    steps = {
        "Channels": "1, repeated for the network" if preprocessing.channels == 1 else str(preprocessing.channels),
        "Intensity": _intensity(preprocessing.intensity),
        "Seen at once": f"{seen}, resized to {size} x {size}",
        "Normalisation": f"mean {mean}; standard deviation {std}",
    }
    return _listed(steps)


def _listed(items: dict[str, str]) -> str:
    """Markdown list of names and what they stand for."""
    return "\n".join(f"- **{name}**: {text}" for name, text in items.items())


def _intensity(intensity: Intensity) -> str:
    """An intensity scaling in words."""
    match intensity:
        case CTWindow():
            low, high = intensity.level - intensity.width / 2, intensity.level + intensity.width / 2
            return (
                f"window of level {intensity.level:g} and width {intensity.width:g}: {low:g} to {high:g} become 0 to 1"
            )
        case Range():
            return f"{intensity.low:g} to {intensity.high:g} become 0 to 1"
        case Percentile():
            return f"percentiles {intensity.low:g} to {intensity.high:g} of each case become 0 to 1"


def _data(record: Record | None) -> str:
    """What it was fitted to, and how."""
    if record is None:
        return "Not recorded."
    cases = ", ".join(f"{count} {_SPLITS.get(split, split)}" for split, count in record.cases.items())
    return f"Data set `{record.data}`: {cases} cases.\n\nTraining: {record.training}."


_LIMITS = """\
For research. It is no medical device, and nobody has approved it for any decision about people: look at every result.

The scores above hold for data like those they were measured on; another scanner, sensor, region or population may give
far less. What belongs to none of the classes is called background, or the class it resembles most. Numbers of other
publications are comparable only where their rule for absent classes is the same.
"""
