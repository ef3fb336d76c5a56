"""The segmenter that users hold: load, predict, refine, share, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samtailor.data.formats import read_image
from samtailor.inference.predictor import Predictor, choose_device
from samtailor.inference.refine import Prompt, refine
from samtailor.inference.result import Result, segment
from samtailor.labels import LabelSpace
from samtailor.models.pretrained import load_model
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.recipes import Recipe
from samtailor.settings import Precision
from samtailor.sharing.export import merge_and_export
from samtailor.sharing.pretrained import push_to_hub, save_pretrained


def load(source: str | Path, weights: str | Path | None = None) -> Segmenter:
    """Load a fitted segmenter.

    Args:
        source: A run, the directory of a segmenter, or a name on the model hub ('owner/name').
        weights: Weights of the base, if they are not where they were when the segmenter was fitted.

    Raises:
        SamTailorError: If something is missing, damaged, or does not fit.
    """
    return Segmenter(load_model(source, weights))


class Segmenter:
    """Base model, recipe, class-aware head and the preprocessing it was trained with.

    Attributes:
        model: The network and what belongs to it.
    """

    def __init__(self, model: SegmenterModel) -> None:
        """Hold a model; `load` reads one."""
        self.model = model

    @property
    def labels(self) -> LabelSpace:
        """The classes, with ids and colours."""
        return self.model.labels

    @property
    def recipe(self) -> Recipe:
        """What was adapted, and how."""
        return self.model.recipe

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
        case = read_image(Path(path), self.model.preprocessing.channels)
        # Moved first: the copy shares most weights with this model, which must not be torn apart.
        ready = self.model.to(choose_device(device)).for_inference()
        return segment(Predictor(ready, batch_size, device, precision), case, probabilities)

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
        result = case if isinstance(case, Result) else self.predict(case, device=device)
        return refine(Predictor(self.model, device=device), result, prompts)

    def save_pretrained(self, directory: str | Path, run: str | Path | None = None, picture: bool = False) -> None:
        """Write the segmenter for others: its files, a model card and, for LoRA, peft's `adapter_config.json`.

        Args:
            directory: New, empty, or an earlier share, which is replaced as a whole.
            run: The run that fitted it, for the card's data and scores.
            picture: Whether the card shows one case of the run's evaluation, to everyone who opens it.
        """
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
        merge_and_export(self.model, Path(directory), Path(run) if run else None, picture)
