"""The segmenter: base model, recipe, class-aware head and preprocessing; what users save, load and call."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn

from samtailor.data.formats.atomic import atomic
from samtailor.data.labels import LabelSpace
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import WeightsError
from samtailor.models.checkpoints import checksum
from samtailor.models.class_aware import ClassAwareSam, Features
from samtailor.models.inference import inference_copy
from samtailor.models.zoo import find_base, load_base, weights_files
from samtailor.recipes.adapter import DEPTH_SLICES
from samtailor.recipes.apply import apply_recipe
from samtailor.recipes.config import Adapter, Recipe, recipe_from_json, recipe_to_json
from samtailor.recipes.lora import merge_lora

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samtailor.inference.config import Precision
    from samtailor.inference.refine import Prompt
    from samtailor.inference.result import Result

FORMAT = 1
"""Version of the layout of `segmenter.json`; raised when an older library could not read a newer file."""

CONFIG_NAME = "segmenter.json"
WEIGHTS_NAME = "weights.safetensors"


@dataclass(frozen=True)
class BaseWeights:
    """Which base weights a segmenter stands on.

    Attributes:
        base: Name in the zoo.
        sha256: Checksum of the weights file.
        file: The file, folder or hub name, if the user named one; None is the published file.
    """

    base: str
    sha256: str
    file: str | None = None


class Segmenter(nn.Module):
    """Class-aware segmenter.

    Attributes:
        base: The base weights it stands on.
        recipe: What was adapted, and how.
        labels: Its classes.
        preprocessing: What is done to an image before the network.
        network: The class-aware SAM.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, base: BaseWeights, recipe: Recipe, labels: LabelSpace, preprocessing: Preprocessing) -> None:
        """Build from the base's weights; the class-aware head starts from pretrained tokens.

        Raises:
            WeightsError: If the base's weights are missing or others than `base` names.
        """
        super().__init__()
        files = weights_files(base.base, base.file)
        found = checksum(files)
        if found != base.sha256:
            raise WeightsError(
                f"{files[0]}: expected the weights of {base.base} with sha256 {base.sha256}, found {found}; "
                "give the file the segmenter was fitted on, with --weights FILE"
            )
        spec = find_base(base.base)
        self.base = base
        self.recipe = recipe
        self.labels = labels
        self.preprocessing = preprocessing
        self.network = ClassAwareSam(load_base(base.base, base.file), len(labels))
        apply_recipe(self.network, recipe)
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
    ) -> Self:
        """Untrained segmenter of a base in the zoo.

        Args:
            base: Name in the zoo.
            recipe: What is adapted, and how.
            labels: Classes.
            preprocessing: What is done to an image before the network.
            weights: Weights of the base: a file, a folder in transformers' format, a hub name; None is the published
                file.
        """
        found = checksum(weights_files(base, weights))
        return cls(BaseWeights(base, found, str(weights) if weights else None), recipe, labels, preprocessing)

    def encode(self, images: Tensor) -> Features:
        """Images in [0, 1], (B, 3, N, N), to feature maps (see `ClassAwareSam.encode`)."""
        return self.network.encode((images - self.mean) / self.std)

    def encode_frozen(self, images: Tensor) -> Features:
        """Images in [0, 1], (B, 3, N, N), to what never changes in training (see `ClassAwareSam.encode_frozen`)."""
        return self.network.encode_frozen((images - self.mean) / self.std)

    def encode_rest(self, state: Features) -> Features:
        """What `encode` gives, from what `encode_frozen` gave."""
        return self.network.encode_rest(state)

    def decode(self, features: Features) -> Tensor:
        """Feature maps to class logits (B, K, 4h, 4w)."""
        return self.network.decode(features)

    @property
    def group(self) -> int:
        """Neighbouring slices that must be computed together; 1 where slices know nothing of each other."""
        return DEPTH_SLICES if isinstance(self.recipe, Adapter) and self.recipe.depth else 1

    def forward(self, images: Tensor) -> Tensor:
        """Images in [0, 1], (B, 3, N, N), to class logits (B, K, 4h, 4w)."""
        return self.decode(self.encode(images))

    @property
    def device(self) -> torch.device:
        """Where the segmenter computes."""
        return self.mean.device

    def predict(
        self,
        path: str | Path,
        probabilities: bool = False,
        batch_size: int = 8,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> Result:
        """Segment one file.

        Args:
            path: Volume or picture.
            probabilities: Whether to keep the softmax over classes as well.
            batch_size: Windows per batch.
            device: 'auto', 'cpu' or 'cuda'.
            precision: 'auto', '32', 'bf16' or '16'; 'auto' is bfloat16 where a GPU computes in it.

        Returns:
            The label in canonical axes; `save` writes it in the geometry of the input.

        Raises:
            DataError: If the file cannot be read or does not fit the segmenter.
        """
        # Inference stands above the models; only this convenience looks up, when it is called.
        from samtailor.data.formats import read_image
        from samtailor.inference.predictor import Predictor, choose_device
        from samtailor.inference.result import segment

        case = read_image(Path(path), self.preprocessing.channels)
        # Moved first: the copy shares most weights with this segmenter, which must not be torn apart.
        ready = self.to(choose_device(device)).for_inference()
        return segment(Predictor(ready, batch_size, device, precision), case, probabilities)

    def save_pretrained(self, directory: str | Path, run: str | Path | None = None, picture: bool = True) -> None:
        """Write the segmenter for others: its files, a model card and, for LoRA, peft's `adapter_config.json`.

        Args:
            directory: New, empty, or an earlier share, which is replaced as a whole.
            run: The run that fitted it, for the card's data, scores and picture.
            picture: Whether the card shows one case of the run's evaluation.
        """
        from samtailor.sharing.pretrained import save_pretrained

        save_pretrained(self, Path(directory), Path(run) if run else None, picture)

    def push_to_hub(self, repo: str, run: str | Path | None = None, private: bool = False, picture: bool = True) -> str:
        """Write what `save_pretrained` writes to a repository on the model hub.

        Args:
            repo: Name on the hub, 'owner/name'; made if there is none.
            run: The run that fitted it, for the card's data, scores and picture.
            private: Whether a repository that is made is visible to its owner only.
            picture: Whether the card shows one case of the run's evaluation.

        Returns:
            Address of the commit.
        """
        from samtailor.sharing.pretrained import push_to_hub

        return push_to_hub(self, repo, Path(run) if run else None, private, picture)

    def merge_and_export(self, directory: str | Path, run: str | Path | None = None, picture: bool = True) -> None:
        """Write one self-contained network in transformers' format, LoRA merged; the segmenter is not changed.

        Args:
            directory: New, empty, or an earlier share, which is replaced as a whole.
            run: The run that fitted it, for the card's data, scores and picture.
            picture: Whether the card shows one case of the run's evaluation.

        Raises:
            ConfigError: If the recipe is the adapter, which cannot be merged.
        """
        from samtailor.sharing.export import merge_and_export

        merge_and_export(self, Path(directory), Path(run) if run else None, picture)

    def refine(self, case: str | Path | Result, prompts: Sequence[Prompt], device: str = "auto") -> Result:
        """Segment a file and correct single classes by what prompted masks say.

        Args:
            case: Volume or picture, or what `predict` gave for it.
            prompts: Points, boxes and masks, each for one class in one slice.
            device: 'auto', 'cpu' or 'cuda'.

        Returns:
            The corrected result (see `samtailor.inference.refine`).

        Raises:
            DataError: If the file cannot be read or does not fit the segmenter, or a prompt does not fit the case.
        """
        from samtailor.inference.predictor import Predictor
        from samtailor.inference.refine import refine
        from samtailor.inference.result import Result

        result = case if isinstance(case, Result) else self.predict(case, device=device)
        return refine(Predictor(self, device=device), result, prompts)

    def merge(self) -> Self:
        """Add LoRA's updates to the weights, for faster inference; a merged segmenter cannot be saved."""
        merge_lora(self.network)
        return self

    def for_inference(self) -> Self:
        """Copy for prediction: LoRA's updates and the like are folded into the weights, all else is shared.

        This segmenter is not changed. The copy gives the same masks faster; it is to be used without gradients, cannot
        be saved, and is to be made anew after a training step.
        """
        return inference_copy(self)

    def trained_state(self) -> dict[str, Tensor]:
        """The trained parameters by name, detached."""
        return {name: p.detach() for name, p in self.network.named_parameters() if p.requires_grad}

    def load_trained_state(self, state: dict[str, Tensor], what: str) -> None:
        """Load trained parameters; none may be missing, left over, or of another shape.

        Args:
            state: What `trained_state` gave.
            what: Where it comes from, for the error.

        Raises:
            WeightsError: Naming the parameters.
        """
        own = self.trained_state()
        wrong = sorted(
            name
            for name in own.keys() | state.keys()
            if name not in own or name not in state or own[name].shape != state[name].shape
        )
        if wrong:
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
            "format": FORMAT,
            "base": asdict(self.base),
            "recipe": recipe_to_json(self.recipe),
            "labels": self.labels.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "libraries": {name: version(name) for name in ("samtailor", "torch", "transformers", "peft")},
        }
        state = {name: value.cpu().contiguous() for name, value in self.trained_state().items()}
        with atomic(directory / WEIGHTS_NAME) as scratch:
            scratch.write_bytes(serialise(state))
        with atomic(directory / CONFIG_NAME) as scratch:
            scratch.write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None) -> Self:
        """Read a segmenter, in evaluation mode, on the CPU.

        Args:
            directory: Where `save` wrote.
            weights: Weights of the base, if they are not where they were when the segmenter was fitted.

        Raises:
            WeightsError: If a file is missing, damaged, of an unknown version, or does not fit the base.
        """
        content = _read_config(directory / CONFIG_NAME)
        base = BaseWeights(**content["base"])
        if weights is not None:
            base = BaseWeights(base.base, base.sha256, str(weights))
        segmenter = cls(
            base,
            recipe_from_json(content["recipe"]),
            LabelSpace.from_json(content["labels"]),
            Preprocessing.from_json(content["preprocessing"]),
        )
        file = directory / WEIGHTS_NAME
        try:
            state = load_file(file)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file}: expected the trained parameters (safetensors), found: {error}") from error
        segmenter.load_trained_state(state, str(file))
        return segmenter.eval()


def _read_config(path: Path) -> dict[str, Any]:
    """Content of a `segmenter.json` of a version we know."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: expected the description of a segmenter (JSON), found: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise WeightsError(
            f"{path}: expected format {FORMAT}, found {found}; it was written by another version of samtailor: "
            "install that one, or fit again"
        )
    return content
