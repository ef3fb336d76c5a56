"""The Lightning task: loss of a batch, DSC of whole validation cases, optimiser and schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn

from samtailor.data.cache import CachedCase
from samtailor.distributed.collectives import gather, is_distributed, sum_over_processes
from samtailor.errors import ConfigError, NotFiniteError
from samtailor.inference.predictor import Predictor
from samtailor.labels import IGNORE
from samtailor.losses import ClassAwareLoss
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.overlap import Overlap, confusion
from samtailor.models.class_aware import Features, StackedHypernetworks
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.training.prompts import outlined, prompted_loss
from samtailor.training.samples import PADDING_CASE, PADDING_TARGET, label_of
from samtailor.training.schedule import rate_of
from samtailor.training.settings import TrainConfig


@dataclass(frozen=True)
class ValidationEmbeddings:
    """What the frozen part of the image encoder gives of each validation case, where it is computed once.

    Attributes:
        always: While all is trained that the recipe trains.
        at_rest: While the whole encoder rests.
    """

    always: Sequence[NDArray[np.float16]] | None = None
    at_rest: Sequence[NDArray[np.float16]] | None = None


class SegmentationTask(lightning.LightningModule):
    """Fits a segmenter.

    Attributes:
        model: What is fitted.
        validation: Cases to validate on.
        mean: What is logged of them.
        truth_voxels: Voxels of each class in the validation cases, (K,); known after a validation.
        predicted_voxels: Voxels predicted as each class in the last validation, (K,).
        before_case: Called before each case of a validation.
    """

    def __init__(
        self,
        model: SegmenterModel,
        loss: ClassAwareLoss,
        config: TrainConfig,
        validation: Sequence[CachedCase],
        mean: MeanDsc,
        embeddings: ValidationEmbeddings,
        batch_size: int,
        batches_in: Callable[[int], int],
    ) -> None:
        """Keep the parts.

        Args:
            model: What is fitted.
            loss: Loss of the logits.
            config: Optimiser, schedule, precision, seed, and how many images are prompted.
            validation: Cases to validate on.
            mean: What is logged of them.
            embeddings: What is known of them.
            batch_size: Windows per batch in validation.
            batches_in: Batches of an epoch, counted from 0.
        """
        super().__init__()
        self.model = model
        self.loss = loss
        self.config = config
        self.before_case: Callable[[], None] = lambda: None
        self.truth_voxels = np.zeros(len(model.labels), np.int64)
        self.predicted_voxels = np.zeros(len(model.labels), np.int64)
        self.validation = validation
        self.mean = mean
        self._embeddings = embeddings
        self._batch_size = batch_size
        self._batches_in = batches_in
        self._counts: dict[int, Overlap] = {}
        self._gradient_norm: Tensor | None = None
        self._loss_sum = torch.zeros(())
        self._images = 0

    @property
    def mean_loss(self) -> Tensor:
        """Mean loss of the images of the epoch so far."""
        return self._loss_sum / self._images

    def on_train_start(self) -> None:
        """Go on within an epoch, or with more of them: rest the encoder, take the rate of the schedule as it is now."""
        self.model.network.encoder_rests = self.current_epoch < self.config.head_epochs
        self._loss_sum = self._loss_sum.to(self.device)
        self.take_rate()

    def take_rate(self) -> None:
        """Give the next step the rate of the schedule as it is now: how many steps an epoch has may have changed."""
        (schedule,) = (config.scheduler for config in self.trainer.lr_scheduler_configs)
        assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
        (factor,) = {*schedule.lr_lambdas}
        for group, rate in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=True):
            group["lr"] = rate * factor(schedule.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Let the encoder rest in the first epochs, if the config says so; forget the losses of the last."""
        self._loss_sum, self._images = torch.zeros((), device=self.device), 0
        self.model.network.encoder_rests = self.current_epoch < self.config.head_epochs

    def on_train_end(self) -> None:
        """Leave the network as it was found."""
        self.model.network.encoder_rests = False

    def training_step(self, batch: tuple[Tensor | Features, Tensor], index: int) -> Tensor:
        """Loss of one batch, which is logged."""
        loss, images = self.loss_of(batch, index)
        self.require_finite(loss.detach())
        self._loss_sum, self._images = self._loss_sum + loss.detach().float() * images, self._images + images
        self.log("loss_step", loss, on_step=True, on_epoch=False, batch_size=images)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss."""
        self.log("loss_epoch", self.mean_loss)

    def loss_of(self, batch: tuple[Tensor | Features, Tensor], index: int) -> tuple[Tensor, int]:
        """Loss of one batch of groups of images (B, G, C, N, N), or of frozen maps, and targets (B, G, N, N).

        Args:
            batch: Inputs and targets.
            index: The batch's place in the epoch.

        Returns:
            The loss, and how many images of all processes it is the mean of.
        """
        inputs, target = batch
        if isinstance(inputs, Tensor):
            features = self.model.encode(inputs.flatten(0, 1))
            target = target.flatten(0, 1)
        else:
            features = self.model.encode_rest(tuple(inputs))
        counts = (target != PADDING_TARGET).flatten(1).any(dim=1)
        target = target.clamp(min=IGNORE)
        images = int(sum_over_processes(counts.sum())) if is_distributed() else len(target)
        if self.config.prompt_fraction:
            loss_of = {"drawn": self._prompted_loss, "outline": self._outlined_loss}[self.config.prompts]
            loss = loss_of(features, target, counts, index)
        elif weight := self.config.loss.coarse:
            logits, coarse = self.model.decode_with_coarse(features)
            loss = self.loss(logits, target) + weight * self.loss(coarse, target)
        else:
            loss = self.loss(self.model.decode(features), target)
        return loss, images

    def _outlined_loss(self, features: Features, target: Tensor, counts: Tensor, index: int) -> Tensor:
        """Loss of all images without a prompt, and of some after a second pass, weighted by their numbers."""
        random, prompted = self._drawn_images(len(target), index)
        logits = self.model.decode(features)
        again = (counts & prompted.to(counts.device)).nonzero()[:, 0]
        sums = sums_again = self.loss.no_sums(features[0], logits.shape[1])
        if counts.any():
            sums = self.loss.sums(logits[counts], target[counts])
        if len(again):
            seen = tuple(feature[again] for feature in features)
            drawn = outlined(self.model.network, seen, logits[again], target[again], random)
            sums_again = self.loss.sums(drawn, target[again])
        numbers = sum_over_processes(torch.stack([counts.sum(), counts.new_tensor(len(again), dtype=torch.int64)]))
        first, second = (self.loss.of_sums(sum_over_processes(some)) for some in (sums, sums_again))
        return self._nothing(features) + (first * numbers[0] + second * numbers[1]) / numbers.sum()

    def _nothing(self, features: Features) -> Tensor:
        """0 that can be differentiated, where nothing may be drawn: by the head, for a frozen encoder's maps cannot."""
        return 0.0 * (features[0].reshape(-1)[0] + self.model.network.mask_decoder.mask_tokens.weight[0, 0])

    def _drawn_images(self, images: int, index: int) -> tuple[torch.Generator, Tensor]:
        """The random numbers of a step, and which of its images are prompted, (B,)."""
        random = random_of(self.config.seed, self.trainer.current_epoch, index, self.trainer.global_rank)
        return random, torch.rand(images, generator=random) < (self.config.prompt_fraction or 0)

    def _prompted_loss(self, features: Features, target: Tensor, counts: Tensor, index: int) -> Tensor:
        """Loss without a prompt of some images and with one of the others, weighted by their numbers."""
        random, prompted = self._drawn_images(len(target), index)
        prompted = prompted.to(target.device)
        plain = (counts & ~prompted).nonzero()[:, 0]
        classes = len(self.model.labels)
        if len(plain):
            sums = self.loss.sums(self.model.decode(tuple(feature[plain] for feature in features)), target[plain])
        else:
            sums = self.loss.no_sums(features[0], classes)
        losses = [self._nothing(features)]
        for i in (counts & prompted).nonzero()[:, 0].tolist():
            one = tuple(feature[i : i + 1] for feature in features)
            losses.append(prompted_loss(self.model.network, one, target[i], classes, random))
        numbers = sum_over_processes(torch.stack([counts.new_tensor(len(plain), dtype=torch.float32), counts.sum()]))
        of_prompts = sum_over_processes(torch.stack(losses).sum())
        return (self.loss.of_sums(sum_over_processes(sums)) * numbers[0] + of_prompts) / numbers[1]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by its norm, which is kept: it is looked at later, so that a GPU is not waited for."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._gradient_norm = nn.utils.clip_grad_norm_(parameters, gradient_clip_val or math.inf)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the gradient of an epoch's last step before anything is validated or saved."""
        if self.trainer.is_last_batch:
            self.require_finite()

    def require_finite(self, loss: Tensor | None = None) -> None:
        """Refuse to go on after a step whose gradient was no number, or from a loss that is none.

        The loss waits for nothing on a GPU, for the target has been looked at after the network was applied. Under
        half precision, infinite gradients are its scaler's business, which leaves such steps out.
        """
        scaled = self.trainer.precision == "16-mixed"
        values = {"gradient": None if scaled else self._gradient_norm, "loss": loss}
        self._gradient_norm = None
        for name, value in values.items():
            if value is not None and not torch.isfinite(value):
                step = self.trainer.global_step + (name == "loss")
                raise NotFiniteError(
                    f"expected a finite {name}, found {value.item()} in step {step} (epoch "
                    f"{self.trainer.current_epoch + 1}, peak learning rate {self.config.optim.lr:g})"
                )

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._counts.clear()

    def validation_step(self, index: int) -> None:
        """Predict one whole case on its own grid and score it; nothing if the index is `PADDING_CASE`."""
        self.before_case()
        if index == PADDING_CASE:
            return
        case = self.validation[index]
        label = self.predict(case, self.embeddings_of(index))
        self._counts[index] = Overlap.from_confusion(confusion(label_of(case), label, len(self.model.labels)))

    def embeddings_of(self, index: int) -> NDArray[np.float16] | None:
        """What is known of a validation case as the network is now: whether its encoder rests, or not."""
        known = self._embeddings.at_rest if self.model.network.encoder_rests else self._embeddings.always
        return None if known is None else known[index]

    def predict(self, case: CachedCase, embeddings: NDArray[np.float16] | None) -> NDArray[np.int16]:
        """Class indices of a case, (S, H, W), as validations predict it."""
        predictor = Predictor(self.model, self._batch_size, str(self.device), self.config.precision, tta="none")
        return predictor.label(case.image, case.spacing, embeddings, void=case.void)

    def on_validation_epoch_end(self) -> None:
        """Log the DSC of each class in the cases of all processes, and the mean that is chosen by."""
        counts = {index: counts for part in gather(self._counts) for index, counts in part.items()}
        ordered = [counts[index] for index in sorted(counts)]  # sums come out alike whoever predicted what
        together = Overlap.stacked(ordered)
        self.truth_voxels[:] = together.truth.sum(axis=0)
        self.predicted_voxels[:] = together.prediction.sum(axis=0)
        for name, value in zip(self.model.labels.names, self.mean.by_class(together), strict=True):
            self.log(f"dsc/{name}", float(value))
        if self.truth_voxels[1:].any():  # else it would say how little is found where nothing is
            self.log("dsc", self.mean(together))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; weight decay on weights of layers only; rates by `schedule.rate_of`."""
        optim = self.config.optim
        assert optim.lr is not None, "the learning rate must be resolved before training"
        decayed, others = self._by_decay()
        groups = [{"params": decayed, "weight_decay": optim.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=optim.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_of(self.config, self._batches_in))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _by_decay(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained: with weight decay, and without."""
        weights = {id(weight) for weight in layer_weights(self.model.network)}
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return [p for p in trained if id(p) in weights], [p for p in trained if id(p) not in weights]

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Only what is trained: checkpoints stay small, the base's weights are never copied."""
        return self.model.trained_state()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> None:
        """Inverse of `state_dict`, always strict."""
        self.model.load_trained_state(dict(state_dict), "checkpoint")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of an epoch that has not ended."""
        checkpoint["epoch_loss"] = {"sum": self._loss_sum, "images": self._images}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse an optimiser's state that belongs to other parameters than it would be given to."""
        if losses := checkpoint.get("epoch_loss"):  # older versions wrote no checkpoints within an epoch
            self._loss_sum, self._images = losses["sum"], losses["images"]
        (state,) = checkpoint["optimizer_states"]
        found = [len(group["params"]) for group in state["param_groups"]]
        if found != (expected := [len(group) for group in self._by_decay()]):
            raise ConfigError(
                f"checkpoint: expected the optimiser's state of {expected[0]} parameters with weight decay and "
                f"{expected[1]} without, found {found}; another version of samtailor wrote it: go on with that one, or "
                "start a new run"
            )


def layer_weights(network: nn.Module) -> Iterator[Tensor]:
    """What weight decay pulls to zero: weights by which layers multiply their input, those of LoRA and adapters too.

    Not biases (the hypernetworks' and the attention's have two dimensions), norms, tokens and embeddings, which are
    values added to others or of their own: zero is no neutral place for them.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            yield module.weight
        elif isinstance(module, StackedHypernetworks):
            yield from module.weights.parameters()


def random_of(*numbers: int) -> torch.Generator:
    """Random numbers that depend on some numbers alone, and so on no interruption, worker or other process."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    return torch.Generator().manual_seed(seed)
