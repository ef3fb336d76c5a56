"""Class-aware head: SAM's mask decoder with one mask token and one hypernetwork for each class (Eq. 1)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamFeedForward, SamMaskDecoder
from transformers.models.sam2.modeling_sam2 import Sam2FeedForward, Sam2MaskDecoder

from samtailor.attend import NAME
from samtailor.data.channels import COLOURS
from samtailor.models.blocks import frozen_blocks
from samtailor.models.channel_projection import ChannelProjection, projection_of
from samtailor.models.fine_features import FineFeatures
from samtailor.models.sam import AnySizeSam, VitEncoder, grid_positions
from samtailor.models.sam2 import Hiera, HieraSam
from samtailor.models.tiny_vit import TinyViT

Features = tuple[Tensor, ...]
"""Feature maps of images: the image embedding, (B, C, h, w), then pairs of maps of four and two times its resolution.

SAM 2 has such a pair of its own; `FineFeatures` are the last.
"""


@dataclass(frozen=True)
class Prompts:
    """Prompts for one object in each image of a batch, in pixels of the network's input.

    Attributes:
        points: x and y of points, (B, P, 2).
        labels: 1 for a point on the object, 0 for one beside it, -1 for none, (B, P).
        boxes: Left, top, right, bottom, (B, 4).
        masks: Logits of a mask, (B, 4h, 4w) for an image embedding of (h, w).
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None


def _fresh(network: SamFeedForward | Sam2FeedForward) -> SamFeedForward | Sam2FeedForward:
    """A hypernetwork of the same shape with random weights."""
    fresh = deepcopy(network)
    for layer in (fresh.proj_in, *fresh.layers, fresh.proj_out):
        layer.reset_parameters()
    return fresh


class StackedHypernetworks(nn.Module):
    """The hypernetworks of all mask tokens, three linear layers each, evaluated as one batched product.

    Parameters hold one slice per token: weights (T, C_in, C_out), biases (T, C_out).
    """

    def __init__(self, networks: list[SamFeedForward | Sam2FeedForward]) -> None:
        super().__init__()
        layers = [[n.proj_in, *n.layers, n.proj_out] for n in networks]
        alike = list(zip(*layers, strict=True))
        self.weights = nn.ParameterList([torch.stack([layer.weight.detach().T for layer in same]) for same in alike])
        self.biases = nn.ParameterList([torch.stack([layer.bias.detach() for layer in same]) for same in alike])

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C), all or the first ones, to the weights of the mask products, (B, T, C / 8)."""
        hidden = tokens.transpose(0, 1)
        count = len(hidden)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias[:count, None], hidden, weight[:count])
            hidden = hidden if i == last else F.relu(hidden)
        return hidden.transpose(0, 1)


class ClassAwareMaskDecoder(nn.Module):
    """SAM's mask decoder for K classes: K + 1 mask tokens, of which token 0 is SAM's single-mask token.

    Transformer and upscaling are the base's own modules. Tokens and hypernetworks of the classes start at random, as
    SAMed's do: classes that started from the same one of SAM's would have to part first, which took most of a short
    training. Prompts for one object are answered among SAM's own tokens, as tokens attend to each other. SAM 2's
    high-resolution features join the upscaling as in the base; its object token attends with the others, but its score
    touches no mask. Source: Eq. 1 of the report, after SAMed (arXiv 2304.13785).
    """

    other_tokens: Tensor

    def __init__(self, decoder: SamMaskDecoder | Sam2MaskDecoder, classes: int) -> None:
        super().__init__()
        tokens = classes + 1
        self.iou_token = decoder.iou_token
        self.mask_tokens = nn.Embedding(tokens, decoder.hidden_size)
        self.transformer = decoder.transformer
        self.transformer.config._attn_implementation = NAME
        self.upscale_conv1 = decoder.upscale_conv1
        self.upscale_layer_norm = decoder.upscale_layer_norm
        self.upscale_conv2 = decoder.upscale_conv2
        single = decoder.output_hypernetworks_mlps[0]
        self.hypernetworks = StackedHypernetworks([single, *(_fresh(single) for _ in range(classes))])
        self.iou_prediction_head = decoder.iou_prediction_head
        iou = self.iou_prediction_head.proj_out
        self.iou_prediction_head.proj_out = nn.Linear(iou.in_features, tokens)
        self.register_buffer("other_tokens", decoder.mask_tokens.weight[1:].detach().clone(), persistent=False)
        with torch.no_grad():
            self.mask_tokens.weight[0] = decoder.mask_tokens.weight[0]
            self.iou_prediction_head.proj_out.weight[0] = iou.weight[0]
            self.iou_prediction_head.proj_out.bias[0] = iou.bias[0]
        self.high_resolution = isinstance(decoder, Sam2MaskDecoder)
        if isinstance(decoder, Sam2MaskDecoder):
            self.conv_s0 = decoder.conv_s0
            self.conv_s1 = decoder.conv_s1
            self.obj_score_token = decoder.obj_score_token
            self.pred_obj_score_head = decoder.pred_obj_score_head

    def forward(
        self, features: Features, positions: Tensor, sparse: Tensor | None, dense: Tensor, prompted: bool = False
    ) -> Tensor:
        """Mask logits of all tokens, (B, K + 1, 4h, 4w): SAM's single mask, then the classes.

        From what `encode` gives, the positional encoding of its grid, (1, C, h, w), point and box prompts,
        (B, 1, P, C), and a mask prompt or the "no mask" embedding, broadcastable to (B, C, h, w). Prompted for an
        object, SAM's single mask alone, (B, 1, 4h, 4w), from SAM's own tokens.
        """
        return self.draw(*self.attend(features[0], positions, sparse, dense, prompted), features[1:])

    def attend(
        self, embeddings: Tensor, positions: Tensor, sparse: Tensor | None, dense: Tensor, prompted: bool = False
    ) -> tuple[Tensor, Tensor]:
        """What `draw` takes: the attended image, (B, C, h, w), and the weights of T masks, (B, T, C / 8)."""
        batch, channels, height, width = embeddings.shape
        first = [self.obj_score_token.weight] if self.high_resolution else []
        drawn = self.mask_tokens.weight[:1] if prompted else self.mask_tokens.weight
        others = [self.other_tokens] if prompted else []
        output = torch.cat([*first, self.iou_token.weight, drawn, *others])
        tokens = output.expand(batch, 1, -1, -1)
        if sparse is not None:
            tokens = torch.cat([tokens, sparse], dim=2)
        attended, image = self.transformer(
            point_embeddings=tokens,
            image_embeddings=embeddings + dense,
            image_positional_embeddings=positions.expand(batch, -1, -1, -1),
            attention_similarity=None,
        )
        image = image.transpose(2, 3).reshape(batch, channels, height, width)
        place = len(first) + 1
        return image, self.hypernetworks(attended[:, 0, place : place + len(drawn)])

    def draw(self, image: Tensor, hyper: Tensor, maps: Features) -> Tensor:
        """Mask logits of what `attend` gives, with pairs of finer maps that join the upscaling."""
        upscaled = self.upscale_conv1(image)
        for fine in maps[1::2]:
            upscaled = upscaled + fine
        upscaled = self.upscale_conv2(F.gelu(self.upscale_layer_norm(upscaled)))
        for finer in maps[::2]:
            upscaled = upscaled + finer
        # By pixels, as the convolutions lay them out: then gradients come back so, too, which GELU's is faster for.
        masks = F.gelu(upscaled).flatten(2).transpose(1, 2) @ hyper.transpose(1, 2)
        return masks.transpose(1, 2).contiguous().view(image.shape[0], -1, *upscaled.shape[2:])


class ClassAwareSam(nn.Module):
    """A SAM or SAM 2 that segments K classes without a prompt: images in, K logits per pixel out.

    Prompted for one object, it still gives SAM's single mask. Images whose channels are neither one nor three pass
    `to_colours` before they are normalised.
    """

    def __init__(
        self, base: AnySizeSam | HieraSam, classes: int, channels: int = COLOURS, fine_features: bool = False
    ) -> None:
        """Take over the modules of a base, which must not be used afterwards, for K classes, background included."""
        super().__init__()
        self.to_colours = projection_of(channels)
        self.image_encoder: VitEncoder | TinyViT | HieraImageEncoder
        self.image_encoder = HieraImageEncoder(base) if isinstance(base, HieraSam) else base.vision_encoder
        self.prompt_encoder = base.prompt_encoder
        self.mask_decoder = ClassAwareMaskDecoder(base.mask_decoder, classes)
        self.stride = base.stride
        self.fine_features = self._new_fine_features() if fine_features else None
        self.encoder_rests = False
        """Whether the image encoder is taken as frozen for the time being, whatever of it the recipe trains."""

    def encode(self, images: Tensor) -> Features:
        """Normalised images (B, 3, H, W) to (B, C, h, w), and pairs of (B, C / 8, 4h, 4w) and (B, C / 4, 2h, 2w)."""
        return self._with_fine(self._encoded(images), images)

    def _encoded(self, images: Tensor) -> Features:
        """What the image encoder gives, as the mask decoder takes it; an early map last if it keeps one."""
        return self._narrowed(self.image_encoder.suffix(self.image_encoder.prefix(images, 0), 0))

    def _new_fine_features(self) -> FineFeatures:
        """Fine features of the image and of the early map that the image encoder keeps from now on, if it has one."""
        early = None
        if not isinstance(self.image_encoder, HieraImageEncoder):  # SAM 2 takes such a map by itself
            self.image_encoder.keeps_early = True
            channels, cells, _ = self.image_encoder.early_shape(self.stride)
            early = (channels, self.stride // cells)
        return FineFeatures(self.mask_decoder.mask_tokens.embedding_dim, self.stride, early)

    def _with_fine(self, maps: Features, images: Tensor) -> Features:
        """Maps as `_encoded` gives them, with the fine features in place of the early map."""
        if self.fine_features is None:
            return maps
        if isinstance(self.image_encoder, HieraImageEncoder):
            return *maps, *self.fine_features(images, None)
        embedding, early = maps
        return embedding, *self.fine_features(images, early)

    @property
    def is_projected(self) -> bool:
        """Whether a learned projection stands before the image encoder, so that nothing of it can be kept."""
        return isinstance(self.to_colours, ChannelProjection)

    @property
    def frozen_steps(self) -> int | None:
        """Steps of the image encoder before the first trained one; None if nothing that `encode` does is trained."""
        if self.encoder_rests or not any(p.requires_grad for p in self.image_encoder.parameters()):
            return None
        return frozen_blocks(self.image_encoder.steps)

    def encode_frozen(self, images: Tensor) -> Features:
        """`encode` up to the first trained step: always the same of the same image; the embedding must be frozen.

        Fine features are trained: the images themselves come last then.
        """
        steps = self.frozen_steps
        state = self._encoded(images) if steps is None else self.image_encoder.prefix(images, steps)
        return state if self.fine_features is None else (*state, images)

    def encode_rest(self, state: Features) -> Features:
        """What `encode` gives, from what `encode_frozen` gave."""
        steps, images = self.frozen_steps, state[-1]
        state = state if self.fine_features is None else state[:-1]
        maps = state if steps is None else self._narrowed(self.image_encoder.suffix(state, steps))
        return self._with_fine(maps, images)

    def frozen_shapes(self, image_size: int) -> list[tuple[int, int, int]]:
        """Shapes of what `encode_frozen` gives of one square image of that side."""
        steps = self.frozen_steps
        shapes = (
            self._encoded_shapes(image_size) if steps is None else self.image_encoder.prefix_shapes(image_size, steps)
        )
        return shapes if self.fine_features is None else [*shapes, (COLOURS, image_size, image_size)]

    def _narrowed(self, maps: Features) -> Features:
        """Maps of the image encoder with as many channels as the mask decoder takes."""
        if not self.mask_decoder.high_resolution:
            return maps
        embedding, finer, fine = maps
        return embedding, self.mask_decoder.conv_s0(finer), self.mask_decoder.conv_s1(fine)

    def _encoded_shapes(self, image_size: int) -> list[tuple[int, int, int]]:
        """Shapes of what `_encoded` gives of one square image of that side."""
        channels, side = self.mask_decoder.mask_tokens.embedding_dim, image_size // self.stride
        shapes = [(channels, side, side)]
        if self.mask_decoder.high_resolution:
            shapes += [(channels // 8, 4 * side, 4 * side), (channels // 4, 2 * side, 2 * side)]
        elif self.fine_features is not None:
            assert not isinstance(self.image_encoder, HieraImageEncoder)
            shapes.append(self.image_encoder.early_shape(image_size))
        return shapes

    def decode(self, features: Features) -> Tensor:
        """Feature maps to class logits under the default prompt, (B, K, 4h, 4w)."""
        return self._masks(features, self._default_sparse(features[0].shape[0]), self._no_mask())[:, 1:]

    def decode_with_coarse(self, features: Features) -> tuple[Tensor, Tensor]:
        """What `decode` gives, and the same without the fine features."""
        attended = self.mask_decoder.attend(
            features[0], self.positions(features), self._default_sparse(features[0].shape[0]), self._no_mask()
        )
        masks, coarse = (self.mask_decoder.draw(*attended, maps)[:, 1:] for maps in (features[1:], features[1:-2]))
        return masks, coarse

    def decode_prompted(self, features: Features, prompts: Prompts) -> Tensor:
        """Feature maps to the logits of the one object that is prompted for in each image, (B, 4h, 4w)."""
        self.prompt_encoder.input_image_size = features[0].shape[2] * self.stride
        self.prompt_encoder.image_embedding_size = tuple(features[0].shape[2:])
        if prompts.points is None and prompts.boxes is None:
            sparse = self._default_sparse(features[0].shape[0])
        else:
            given = (prompts.points, prompts.labels, prompts.boxes)
            sparse, _ = self.prompt_encoder(*(None if prompt is None else prompt[:, None] for prompt in given), None)
        dense = self._no_mask() if prompts.masks is None else self.prompt_encoder.mask_embed(prompts.masks[:, None])
        return self._masks(features, sparse, dense, prompted=True)[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to class logits (B, K, 4h, 4w)."""
        return self.decode(self.encode(images))

    def recompute_activations(self, on: bool) -> None:
        """Whether training recomputes the image encoder's activations block by block instead of keeping them."""
        for module in self.image_encoder.modules():
            if isinstance(module, VitEncoder | Hiera | TinyViT):
                module.gradient_checkpointing = on

    def _masks(self, features: Features, sparse: Tensor | None, dense: Tensor, prompted: bool = False) -> Tensor:
        masks: Tensor = self.mask_decoder(features, self.positions(features), sparse, dense, prompted)
        return masks

    def positions(self, features: Features) -> Tensor:
        """Positional encoding of the image embedding's cells, (1, C, h, w)."""
        return grid_positions(self.prompt_encoder.shared_embedding, *features[0].shape[2:])

    def _default_sparse(self, batch: int) -> Tensor | None:
        """What the base's prompt encoder gives without a prompt: nothing, or two empty points in SAM 2."""
        if not self.mask_decoder.high_resolution:
            return None
        empty: Tensor = self.prompt_encoder.not_a_point_embed.weight
        return empty.expand(batch, 1, 2, -1)

    def _no_mask(self) -> Tensor:
        return cast(Tensor, self.prompt_encoder.no_mask_embed.weight[:, :, None, None])


class HieraImageEncoder(nn.Module):
    """SAM 2's image encoder: (B, 3, H, W) to the image embedding and the maps of four and two times its resolution."""

    def __init__(self, base: HieraSam) -> None:
        super().__init__()
        self.trunk = base.vision_encoder
        self.no_memory_embedding = base.no_memory_embedding

    def forward(self, images: Tensor) -> Features:
        """Normalised images (B, 3, H, W) to (B, C, h, w), (B, C, 4h, 4w), (B, C, 2h, 2w)."""
        return self.suffix(self.prefix(images, 0), 0)

    @property
    def steps(self) -> list[nn.Module]:
        """Blocks of the trunk in their order."""
        return list(self.trunk.backbone.blocks)

    def prefix(self, images: Tensor, count: int) -> Features:
        """What `Hiera.prefix` gives: also finished stages, which the finer maps are made of."""
        return cast(Features, self.trunk.backbone.prefix(images, count))

    def suffix(self, state: Features, count: int) -> Features:
        """What `forward` gives, from what `prefix` gave."""
        maps, _ = self.trunk.neck(self.trunk.backbone.suffix(state, count))
        embedding, fine, finer = maps[-3:]
        # An image is a video without memory.
        return embedding + self.no_memory_embedding.view(1, -1, 1, 1), finer, fine

    def prefix_shapes(self, side: int, count: int) -> list[tuple[int, int, int]]:
        """Shapes of what `prefix` gives of one square image of that side."""
        return cast(list[tuple[int, int, int]], self.trunk.backbone.prefix_shapes(side, count))
