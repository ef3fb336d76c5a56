"""The network of a segmenter with what belongs to it: base, recipe, class-aware head, classes, preprocessing."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn

from samtailor.data.intensity import ByChannel
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, WeightsError
from samtailor.files import atomic, made_of, read_json, regular, write_json
from samtailor.labels import LabelSpace
from samtailor.models.checkpoints import checksum
from samtailor.models.class_aware import ClassAwareSam, Features
from samtailor.models.hub import fetch_segmenter
from samtailor.models.practice import Practice
from samtailor.models.zoo import find_base, load_base, weights_files
from samtailor.recipes import NEWER, Recipe, recipe_for_segmenter, recipe_of_segmenter
from samtailor.runs import CrossValidation, Run
from samtailor.settings import Checked, require
from samtailor.version import VERSION

_RESTORE = "restore the folder, or fit again"

FORMAT = 5
"""Version of the layout of `segmenter.json`; raised when an older library could not read a newer file.

Version 2 has other numbers of channels than one and three, and intensities by channel; version 3 has bands that are
chosen, and the size of the pictures of the training; version 4 has LoRA on more layers than queries and values,
trained norms and fine features; version 5 has offsets of the class logits and neighbouring slices. What has none of
these is written, as ever, as version 1.
"""

CONFIG_NAME = "segmenter.json"
WEIGHTS_NAME = "weights.safetensors"
_TOLD = 12  # digits of a checksum


@dataclass(frozen=True)
class BaseWeights(Checked):
    """Which base weights a segmenter stands on.

    Attributes:
        base: Name in the zoo.
        sha256: Checksum of the weights file.
        file: The file, folder or hub name, if the user named one; None is the published file.
    """

    base: str
    sha256: str
    file: str | None = None


class SegmenterModel(nn.Module):
    """Class-aware network that knows its classes and its preprocessing, and can be saved.

    Users hold it as a `samtailor.segmenter.Segmenter`.

    Attributes:
        base: The base weights it stands on.
        recipe: What was adapted, and how.
        labels: Its classes.
        preprocessing: What is done to an image before the network.
        practice: How it was trained, and how it predicts unless told otherwise.
        fine_features: Whether the mask decoder also sees the image itself (see `FineFeatures`).
        network: The class-aware SAM.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        base: BaseWeights,
        recipe: Recipe,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        practice: Practice | None = None,
        fine_features: bool = False,
    ) -> None:
        """Build from the base's weights, which must be those named; the classes' part of the head is random."""
        super().__init__()
        files = weights_files(base.base, base.file)
        if (found := checksum(files)) != base.sha256:
            raise WeightsError(
                f"{files[0]}: expected the weights of {base.base} with sha256 {base.sha256}, found {found}; "
                "give the file the segmenter was fitted on, with --weights FILE"
            )
        spec = find_base(base.base)
        self.base = base
        self.recipe = recipe
        self.labels = labels
        self.preprocessing = preprocessing
        self.practice = practice or Practice()
        self.fine_features = fine_features
        network = load_base(base.base, base.file)
        self.network = ClassAwareSam(network, len(labels), preprocessing.channels, fine_features)
        recipe.apply(self.network)
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    @classmethod
    def create(
        cls,
        base: str,
        recipe: Recipe,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        weights: str | Path | None = None,
        practice: Practice | None = None,
        fine_features: bool = False,
    ) -> Self:
        """Untrained segmenter of a base in the zoo; its weights as in `weights_files`."""
        stands_on = BaseWeights(base, checksum(weights_files(base, weights)), str(weights) if weights else None)
        return cls(stands_on, recipe, labels, preprocessing, practice, fine_features)

    def encode(self, images: Tensor) -> Features:
        """Network inputs in [0, 1], (B, C, N, N), to feature maps (see `ClassAwareSam.encode`)."""
        return self.network.encode(self.normalised(images))

    def encode_frozen(self, images: Tensor) -> Features:
        """Network inputs in [0, 1] to what never changes in training (see `ClassAwareSam.encode_frozen`).

        Depth adapters, which take groups of slices, change nothing before they are trained: whatever fills a group up.
        """
        if self.network.is_projected:
            raise ValueError("what a trained projection of the channels gives changes in training: nothing is frozen")
        missing = -len(images) % self.recipe.group
        filled = torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])
        return tuple(maps[: len(images)] for maps in self.network.encode_frozen(self.normalised(filled)))

    def normalised(self, images: Tensor) -> Tensor:
        """Network inputs in [0, 1], (B, C, N, N), as the image encoder takes them, (B, 3, N, N)."""
        colours: Tensor = self.network.to_colours(images)
        return (colours - self.mean) / self.std

    def encode_rest(self, state: Features) -> Features:
        """What `encode` gives, from what `encode_frozen` gave."""
        return self.network.encode_rest(state)

    def decode(self, features: Features) -> Tensor:
        """Feature maps to class logits (B, K, 4h, 4w)."""
        return self.network.decode(features)

    def decode_with_coarse(self, features: Features) -> tuple[Tensor, Tensor]:
        """Class logits with and without the fine features, both (B, K, 4h, 4w)."""
        return self.network.decode_with_coarse(features)

    @property
    def group(self) -> int:
        """Neighbouring slices that must be computed together; 1 where slices know nothing of each other."""
        return 1 if self.network.encoder_rests else self.recipe.group

    def forward(self, images: Tensor) -> Tensor:
        """Network inputs in [0, 1], (B, C, N, N), to class logits (B, K, 4h, 4w)."""
        return self.decode(self.encode(images))

    @property
    def _format(self) -> int:
        """The oldest version of the layout of files that has words for it."""
        if self.practice.bias is not None or self.preprocessing.neighbours:
            return 5
        if self.fine_features or NEWER & recipe_for_segmenter(self.recipe).keys():
            return 4
        if self.preprocessing.bands is not None or self.preprocessing.seen is not None:
            return 3
        return 2 if self.network.is_projected or isinstance(self.preprocessing.intensity, ByChannel) else 1

    @property
    def device(self) -> torch.device:
        """Where the segmenter computes."""
        return self.mean.device

    def merge(self) -> Self:
        """Add LoRA's updates to the weights, for faster inference; a merged segmenter cannot be saved."""
        self.recipe.merge(self.network)
        return self

    def for_inference(self) -> Self:
        """Copy for prediction, in evaluation mode: LoRA's updates are added to the weights, all else is shared.

        This segmenter is not changed. The copy gives the same masks faster; it is to be used without gradients, cannot
        be saved, and is to be made anew after a training step.
        """
        shared = {id(tensor): tensor for tensor in chain(self.parameters(), self.buffers())}
        return copy.deepcopy(self, shared).merge().eval()

    def trained_state(self) -> dict[str, Tensor]:
        """The trained parameters by name, detached."""
        return {name: p.detach() for name, p in self.network.named_parameters() if p.requires_grad}

    def load_trained_state(self, state: dict[str, Tensor], what: str) -> None:
        """Load what `trained_state` gave; none may be missing, left over, or of another shape."""
        own = self.trained_state()
        expected, found = ({(name, value.shape) for name, value in values.items()} for values in (own, state))
        if wrong := sorted({name for name, _ in expected ^ found}):
            raise WeightsError(
                f"{what}: expected the {len(own)} trained parameters of {CONFIG_NAME}, found {len(wrong)} missing, "
                f"unexpected or of another shape ({', '.join(wrong[:3])}); the files do not belong together"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def save(self, directory: Path) -> None:
        """Write `segmenter.json` and the trained parameters, a few megabytes, into a directory."""
        content = {
            "format": self._format,
            "base": asdict(self.base),
            "recipe": recipe_for_segmenter(self.recipe),
            "labels": self.labels.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            **self.practice.to_json(),
            **({"fine_features": True} if self.fine_features else {}),
            "libraries": {"samtailor": VERSION, **{name: version(name) for name in ("torch", "transformers", "peft")}},
        }
        state = {name: value.cpu().contiguous() for name, value in self.trained_state().items()}
        with atomic(directory / WEIGHTS_NAME) as scratch:
            scratch.write_bytes(serialise(state))
        write_json(directory / CONFIG_NAME, content)

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None) -> Self:
        """Read what `save` wrote, in evaluation mode, on the CPU; `weights` if the base's are not where they were."""
        content, described = _read_config(directory / CONFIG_NAME), directory / CONFIG_NAME
        with made_of(described, "the description of a segmenter", _RESTORE):
            base = BaseWeights(**content["base"])
            find_base(base.base)
            recipe = recipe_of_segmenter(content["recipe"])
            labels = LabelSpace.from_json(content["labels"])
            preprocessing = Preprocessing.from_json(content["preprocessing"])
            practice = Practice.from_json(content)
            if practice.bias is not None and len(practice.bias) != len(labels):
                found = len(practice.bias)
                raise ConfigError(f"bias: expected {len(labels)} numbers, one for each class, found {found}")
            fine_features = content.get("fine_features", False)
            require({"fine_features": fine_features}, {"fine_features": bool})
        if weights is not None:
            base = BaseWeights(base.base, base.sha256, str(weights))
        model = cls(base, recipe, labels, preprocessing, practice, fine_features)
        file = directory / WEIGHTS_NAME
        model.load_trained_state(read_weights(file), str(file))
        return model.eval()


def save_practice(directory: Path, **changes: Any) -> None:
    """Change some of a saved segmenter's practice, at once or not at all; its weights are not touched."""
    content = _read_config(directory / CONFIG_NAME)
    practice = replace(Practice.from_json(content), **changes)
    others = {name: value for name, value in content.items() if name not in vars(practice)}
    newer = {} if practice.bias is None else {"format": FORMAT}
    write_json(directory / CONFIG_NAME, others | newer | practice.to_json())


def read_weights(file: Path) -> dict[str, Tensor]:
    """Trained parameters as `SegmenterModel.save` writes them."""
    try:
        return load_file(regular(file))
    except (SafetensorError, OSError, ValueError) as error:  # ValueError: a type that torch does not have
        raise WeightsError(
            f"{file}: expected the trained parameters (safetensors), found: {error}; {_RESTORE}"
        ) from error


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
        CrossValidation(folder).require_none()
        folder = Run(folder).segmenter_directory
    return SegmenterModel.load(folder, weights)


def segmenter_checksum(run: Run) -> str:
    """Checksum of a run's segmenter: of its weights, and of what it is, with what tuning has stored."""
    return checksum([run.segmenter_directory / name for name in (CONFIG_NAME, WEIGHTS_NAME)])


def segmenter_told(run: Run) -> str:
    """The beginning of the checksum of a run's segmenter: scores say what they are of."""
    return segmenter_checksum(run)[:_TOLD]


def load_models(source: str | Path, weights: str | Path | None = None) -> list[SegmenterModel]:
    """Load the networks of a segmenter: those of all folds of a cross-validation, else one, as `load_model` does.

    Raises:
        ConfigError: If the training of a fold has not ended.
    """
    folds = CrossValidation(Path(source))
    sources = [run.directory for run in folds.require_trained()] if folds.is_there else [source]
    return [load_model(one, weights) for one in sources]


def _read_config(path: Path) -> dict[str, Any]:
    """Content of a `segmenter.json` of a version we know."""
    content: dict[str, Any] = read_json(path, dict, "give the folder of a segmenter")
    if content.get("format") not in range(1, FORMAT + 1):
        found = content.get("format")
        raise WeightsError(
            f"{path}: expected format 1 to {FORMAT}, found {found}; it was written by another version of samtailor: "
            "install that one, or fit again"
        )
    return content
