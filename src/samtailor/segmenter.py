"""The segmenter that users hold: load, predict, refine, share, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import torch
from torch import Tensor, nn

from samtailor.data.case import Case
from samtailor.data.formats import match_channels, read_image
from samtailor.data.in_memory import InMemory, case_of
from samtailor.data.preprocessing import Window
from samtailor.errors import ConfigError, counted
from samtailor.inference.ensemble import mean_of
from samtailor.inference.predictor import Piece, Predictor, choose_device
from samtailor.inference.prompt import Prompt
from samtailor.inference.refine import Corrections, redraw, refine
from samtailor.inference.result import Result, segment
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel, load_models
from samtailor.recipes import USUAL, Recipe
from samtailor.refinement import Refine, chosen_refinement
from samtailor.refinement.outline import Outline
from samtailor.reporting.html import filled
from samtailor.settings import (
    ClassBias,
    Count,
    Device,
    Precision,
    TestTimeFlip,
    Thresholds,
    WindowChoice,
    Within,
    checked,
)
from samtailor.sharing.export import merge_and_export
from samtailor.sharing.onnx.folder import export_network
from samtailor.sharing.onnx.formats import ExportFormat
from samtailor.sharing.pretrained import push_to_hub, save_pretrained

if TYPE_CHECKING:
    from samtailor.training.labelled import LabelledSamples

Spacing = Annotated[float, Within(0, above=True)]


def load(source: str | Path, weights: str | Path | None = None) -> Segmenter:
    """Load a fitted segmenter.

    Args:
        source: A run, the directory of a segmenter, or a name on the model hub ('owner/name'). A cross-validation gives
            a segmenter that averages the class probabilities of its folds.
        weights: Weights of the base, if they are not where they were when the segmenter was fitted.

    Raises:
        SamTailorError: If something is missing, damaged, or does not fit.
    """
    return Segmenter(*load_models(source, weights))


class Segmenter:
    """Base model, recipe, class-aware head and the preprocessing it was trained with.

    Attributes:
        models: The network and what belongs to it; of a cross-validation those of all folds, whose class probabilities
            are averaged.
    """

    def __init__(self, model: SegmenterModel, *others: SegmenterModel) -> None:
        """Hold a model, or those of all folds of a cross-validation; `load` reads them."""
        self.models = (model, *others)
        self._ready: dict[int, tuple[object, SegmenterModel]] = {}

    @classmethod
    def new(cls, samples: LabelledSamples, recipe: Recipe = USUAL, weights: str | Path | None = None) -> Self:
        """A segmenter that has learned nothing yet, for a training loop of your own.

        Args:
            samples: What it will be trained on (see `samtailor.dataset`); its classes and preprocessing are those, and
                the seed of its initial weights.
            recipe: Which parameters are adapted, and how; the others ask for no gradient.
            weights: Weights of the base, as for `samtailor.train`.

        Raises:
            ConfigError: If the recipe is one for volumes: samples are single slices.
        """
        if recipe.group > 1:
            raise ConfigError(f"recipe: expected one for single slices, found {recipe}; take samtailor.train for it")
        from samtailor.training.fit import new_segmenter  # Lightning, which prediction does without

        config = replace(samples.config, recipe=recipe, weights=None if weights is None else str(weights))
        folder = samples.folder
        return cls(new_segmenter(config, folder.labels, folder.channel_choice, folder.largest))

    def __repr__(self) -> str:
        size = self.model.preprocessing.image_size
        mean = f"mean of {len(self.models)} folds, " if len(self.models) > 1 else ""
        return f"Segmenter({mean}{self.model.base.base}, {self.recipe}, {size} pixels: {', '.join(self.classes)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: what it is made of, and its classes in their colours."""
        size, channels = self.model.preprocessing.image_size, self.model.preprocessing.channels
        facts = {
            "base": self.model.base.base,
            "recipe": str(self.recipe),
            "sees": f"{size} x {size} pixels at once",
            "images have": counted(channels, "channel"),
        }
        if len(self.models) > 1:
            facts["folds"] = f"{len(self.models)}, whose class probabilities are averaged"
        classes = list(zip(self.classes, self.labels.palette, strict=True))
        return filled("segmenter.html", blocks=[facts], classes=classes)

    @property
    def model(self) -> SegmenterModel:
        """The network and what belongs to it; of a cross-validation that of the first fold."""
        return self.models[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices in labels; the first is the background."""
        return self.labels.names

    @property
    def labels(self) -> LabelSpace:
        """The classes, with ids and colours."""
        return self.model.labels

    @property
    def recipe(self) -> Recipe:
        """What was adapted, and how."""
        return self.model.recipe

    @checked
    def predict(
        self,
        image: str | Path | InMemory | Case,
        probabilities: bool = False,
        batch_size: Count = 8,
        device: Device = "auto",
        precision: Precision = "auto",
        refine: Refine | None = None,
        spacing: tuple[Spacing, Spacing, Spacing] | None = None,
        tta: TestTimeFlip | None = None,
        bias: ClassBias = "saved",
        threshold: Thresholds | None = None,
        windows: WindowChoice = "auto",
    ) -> Result:
        """Segment one image.

        Args:
            image: A file; a case that has been read; an image of Pillow; or an array: a picture (H, W) or (H, W, C), or
                with spacing a volume (S, H, W) or (C, S, H, W). Tensors are taken like arrays, but pictures as
                (C, H, W). Values are those of the files it was fitted to, such as 0 to 255.
            probabilities: Whether to keep the softmax over classes as well.
            batch_size: Windows per batch.
            device: 'auto', 'cpu' or 'cuda'.
            precision: 'auto', '32', 'bf16' or '16'; 'auto' is bfloat16 where a GPU computes in it.
            refine: What is done to the label at the end (see `samtailor.predict`); by default what the segmenter was
                fitted with.
            spacing: Distance in mm of slices, rows, columns of an array that is a volume.
            tta: Flips at test time (see `samtailor.predict`): 'none', 'columns', 'both', or 'auto', those of the
                training; by default what the segmenter was fitted with.
            bias: 'none' leaves out the offsets of the class logits that the segmenter has saved.
            threshold: Least probability of classes, by name (see `samtailor.predict`).
            windows: What the network sees at once of a picture (see `samtailor.predict`).

        Returns:
            The label in canonical axes; `save` writes it in the geometry of the input.

        Raises:
            ConfigError: If there is no such refinement or class, or 'auto' flips are not known.
            DataError: If the image cannot be read or does not fit the segmenter.
        """
        refinement = chosen_refinement(refine)
        case = self._case_of(image, spacing)
        predictor = mean_of(
            [
                Predictor(model, batch_size, device, precision, refinement, tta, bias, threshold, windows)
                for model in self._for_inference(device)
            ]
        )
        return segment(predictor, case, probabilities)

    @checked
    def encode(
        self,
        image: str | Path | InMemory | Case,
        spacing: tuple[Spacing, Spacing, Spacing] | None = None,
        device: Device = "auto",
    ) -> Tensor:
        """Features of one image: what the fitted image encoder makes of each slice, seen whole.

        Args:
            image: As for `predict`.
            spacing: As for `predict`.
            device: 'auto', 'cpu' or 'cuda'.

        Returns:
            Image embeddings, (S, C, h, w), of the slice in a square: rows or columns beyond it are of zeros.

        Raises:
            ConfigError: If it is that of a cross-validation, each fold of which has features of its own.
        """
        self._require_one("encode")
        case = self._case_of(image, spacing)
        predictor = Predictor(self._for_inference(device)[0], device=device)
        slices = predictor.model.preprocessing.prepare(case)
        whole = Window(0, 0, max(case.geometry.shape[1:]))
        return torch.cat([predictor.features(slices, Piece(index, whole))[0].cpu() for index in range(len(slices))])

    def _case_of(self, image: str | Path | InMemory | Case, spacing: tuple[float, float, float] | None) -> Case:
        """The image as a case with the segmenter's channels."""
        channels = self.model.preprocessing.channel_choice
        if isinstance(image, str | Path):
            return read_image(Path(image), channels)
        if isinstance(image, Case):
            return replace(image, image=match_channels(image.image, channels, Path(image.name)))
        case = case_of(image, spacing)
        fix = "give a picture as (H, W, C), or a volume as (S, H, W) or (C, S, H, W) with its spacing in mm"
        return replace(case, image=match_channels(case.image, channels, Path(case.name), fix))

    def _require_one(self, what: str) -> None:
        """Refuse what is done with one network.

        Raises:
            ConfigError: If there are several.
        """
        if len(self.models) > 1:
            raise ConfigError(
                f"{what}: expected one segmenter, found the mean of {len(self.models)} folds; load one of them, "
                "which lie in the folders fold-0, fold-1, ... of the cross-validation"
            )

    def _for_inference(self, device: str) -> list[SegmenterModel]:
        """The models' copies for prediction, each kept until its model changes."""
        for place, one in enumerate(self.models):
            # Moved first: the copy shares most weights with the model, which must not be torn apart.
            model = one.to(choose_device(device))
            state = (model.preprocessing, model.practice, _weights_version(model))
            if place not in self._ready or self._ready[place][0] != state:
                self._ready[place] = state, model.for_inference()
        return [ready for _, ready in self._ready.values()]

    @checked
    def refine(
        self,
        case: str | Path | Result,
        prompts: Sequence[Prompt] | Outline,
        device: Device = "auto",
        windows: WindowChoice = "auto",
    ) -> Result:
        """Segment a file and correct single classes by what prompted masks say, or draw all objects again.

        Args:
            case: Volume or picture, or what `predict` gave for it.
            prompts: Points, boxes and masks, each for one class in one slice; or an `Outline`, by which every object of
                the label, which you may have corrected, is prompted for.
            device: 'auto', 'cpu' or 'cuda'.
            windows: As for `predict`.

        Returns:
            The corrected result (see `samtailor.inference.refine`).

        Raises:
            DataError: If the file cannot be read or does not fit the segmenter, or a prompt does not fit the case.
        """
        result = case if isinstance(case, Result) else self.predict(case, device=device, windows=windows)
        if isinstance(prompts, Outline):
            copies = self._for_inference(device)
            steps = (prompts,)
            again = [Predictor(model, device=device, refinement=steps, windows=windows) for model in copies]
            return redraw(mean_of(again), result)
        return refine(self._prompted(device, windows), result, prompts)

    @checked
    def corrections(self, case: Case, device: Device = "auto", windows: WindowChoice = "auto") -> Corrections:
        """What corrects labels of a case by prompts, for programs that ask again and again.

        `refine` makes it anew each time; this keeps what the networks have made of the last slices, so that only the
        first prompt on a slice waits for the image encoder.

        Args:
            case: The case.
            device: 'auto', 'cpu' or 'cuda'.
            windows: As for `predict`.

        Raises:
            DataError: If the case does not fit the segmenter.
        """
        slices = self.model.preprocessing.prepare(self._case_of(case, None))
        return Corrections(self._prompted(device, windows), slices, self.labels)

    def _prompted(self, device: Device, windows: WindowChoice) -> Predictor:
        """What answers prompts."""
        return mean_of([Predictor(model, device=device, windows=windows) for model in self.models])

    def save_pretrained(self, directory: str | Path, run: str | Path | None = None, picture: bool = False) -> None:
        """Write the segmenter for others: its files, a model card and, for LoRA, peft's `adapter_config.json`.

        Args:
            directory: New, empty, or an earlier share, which is replaced as a whole.
            run: The run that fitted it, for the card's data and scores.
            picture: Whether the card shows one case of the run's evaluation, to everyone who opens it.
        """
        self._require_one("share")
        save_pretrained(self.model, Path(directory), Path(run) if run else None, picture)

    def push_to_hub(
        self, repo: str, run: str | Path | None = None, private: bool = False, picture: bool = False
    ) -> str:
        """Write what `save_pretrained` writes to a repository on the model hub.

        Args:
            repo: Name on the hub, 'owner/name'; made if there is none.
            run: The run that fitted it, for the card's data and scores.
            private: Whether a repository that is made is visible to its owner only.
            picture: Whether the card shows one case of the run's evaluation, to everyone who opens it.

        Returns:
            Address of the repository.
        """
        self._require_one("share")
        return push_to_hub(self.model, repo, Path(run) if run else None, private, picture)

    def merge_and_export(self, directory: str | Path, run: str | Path | None = None, picture: bool = False) -> None:
        """Write one self-contained network in transformers' format, LoRA merged; the segmenter is not changed.

        Args:
            directory: New, empty, or an earlier share, which is replaced as a whole.
            run: The run that fitted it, for the card's data and scores.
            picture: Whether the card shows one case of the run's evaluation, to everyone who opens it.

        Raises:
            ConfigError: If the recipe is the adapter, which cannot be merged.
        """
        self._require_one("share")
        merge_and_export(self.model, Path(directory), Path(run) if run else None, picture)

    def export(
        self,
        directory: str | Path,
        split: bool = False,
        run: str | Path | None = None,
        picture: bool = False,
        format: ExportFormat = "onnx",
    ) -> None:
        """Write it for programs without torch and samtailor, LoRA merged; the segmenter is not changed.

        Args:
            directory: New, empty, or an earlier export, which is replaced as a whole.
            split: Whether image encoder and prompted mask decoder are written as well, as two networks.
            run: The run that fitted it, for the card's data and scores.
            picture: Whether the card shows one case of the run's evaluation, to everyone who opens it.
            format: 'onnx', or 'openvino'.

        Raises:
            ConfigError: If the extra of the format is missing.
        """
        self._require_one("export")
        export_network(self.model, Path(directory), split, Path(run) if run else None, picture, format=format)


def _weights_version(network: nn.Module) -> object:
    """Something that equals itself as long as no parameter or buffer was changed, moved or replaced.

    PyTorch counts what is written to a tensor in `_version`, a private name; without it nothing ever equals itself.
    """
    tensors = chain(network.parameters(), network.buffers())
    return [(tensor.data_ptr(), getattr(tensor, "_version", object())) for tensor in tensors]
