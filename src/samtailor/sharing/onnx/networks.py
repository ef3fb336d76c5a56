"""What is exported of a segmenter: all of it, or its image encoder and the part that answers prompts."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from samtailor.models.class_aware import ClassAwareSam, Features
from samtailor.models.plain import plain
from samtailor.models.segmenter_model import SegmenterModel


def plain_copy(model: SegmenterModel) -> SegmenterModel:
    """Copy of a segmenter whose updates are merged and which a tracer can follow (see `plain`)."""
    return plain(model.for_inference())


class Encoder(nn.Module):
    """The image encoder: network inputs to feature maps."""

    def __init__(self, model: SegmenterModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Features:
        """Images in [0, 1], (B, C, N, N), to the maps of `ClassAwareSam.encode`."""
        return self.model.encode(images)


class PromptDecoder(nn.Module):
    """SAM's single mask for points and boxes, as the ONNX files of Segment Anything take them: all are points.

    A box is its two corners. SAM's prompt encoder adds an empty point, where there is no box, and SAM 2's always; here
    it is given like the others.
    """

    def __init__(self, network: ClassAwareSam) -> None:
        super().__init__()
        self.network = network
        encoder = network.prompt_encoder
        points = encoder.point_embed  # one layer for each kind, or SAM 2's one layer for all
        layers = [encoder.not_a_point_embed, *(points if isinstance(points, nn.ModuleList) else [points])]
        kinds = torch.cat([layer.get_parameter("weight") for layer in layers])
        self.kinds = nn.Parameter(kinds, requires_grad=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits of the object that is prompted for in each image, (B, 4h, 4w).

        Args:
            *inputs: The feature maps of `Encoder`. Then points, x and y in pixels of the network's input, (B, P, 2);
                their labels, (B, P): 1 on the object, 0 beside it, 2 and 3 a box's first and last corner, -1 empty.
                Then logits of a mask, (B, 4h, 4w), and whether it counts, (B,): 1, or 0 for none.
        """
        *features, points, labels, mask, has_mask = inputs
        side = features[0].shape[2] * self.network.stride
        places = self.network.prompt_encoder.shared_embedding((points + 0.5) / side)
        is_there = (labels >= 0)[..., None]
        sparse = torch.where(is_there, places, torch.zeros_like(places)) + self.kinds[labels + 1]
        dense = self.network.prompt_encoder.mask_embed(mask[:, None])
        empty = self.network.prompt_encoder.no_mask_embed.weight[:, :, None, None]
        dense = torch.where(has_mask[:, None, None, None] > 0, dense, empty)
        positions = self.network.positions(tuple(features))
        drawn = self.network.mask_decoder(tuple(features), positions, sparse[:, None], dense, prompted=True)
        return cast(Tensor, drawn[:, 0])
