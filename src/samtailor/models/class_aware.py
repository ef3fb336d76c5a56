"""Class-aware head: SAM's mask decoder with one mask token and one hypernetwork for each class (Eq. 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamModel
from transformers.models.sam.modeling_sam import SamFeedForward, SamMaskDecoder


def source_tokens(classes: int, pretrained: int) -> list[int]:
    """Pretrained mask token each of the K + 1 tokens starts from.

    Token 0 stays SAM's single-mask token; the classes take SAM's multi-mask tokens in turn.

    Args:
        classes: Number of classes K.
        pretrained: Mask tokens of the base, 4 for every SAM.
    """
    return [0] + [1 + k % (pretrained - 1) for k in range(classes)]


class StackedHypernetworks(nn.Module):
    """The hypernetworks of all mask tokens, three linear layers each, evaluated as one batched product.

    Parameters hold one slice per token: weights (T, C_in, C_out), biases (T, C_out).
    """

    def __init__(self, networks: list[SamFeedForward]) -> None:
        super().__init__()
        layers = [[n.proj_in, *n.layers, n.proj_out] for n in networks]
        self.weights = nn.ParameterList(
            [torch.stack([layer.weight.detach().T for layer in same]) for same in zip(*layers, strict=True)]
        )
        self.biases = nn.ParameterList(
            [torch.stack([layer.bias.detach() for layer in same]) for same in zip(*layers, strict=True)]
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, C) to the weights of the mask products, (B, T, C / 8)."""
        hidden = tokens.transpose(0, 1)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias[:, None], hidden, weight)
            hidden = hidden if i == last else F.relu(hidden)
        return hidden.transpose(0, 1)


class ClassAwareMaskDecoder(nn.Module):
    """SAM's mask decoder for K classes: K + 1 mask tokens, of which token 0 is SAM's single-mask token.

    Transformer and upscaling are the base's own modules; tokens, hypernetworks and IoU outputs are new and start
    from pretrained ones (`source_tokens`). Source: Eq. 1 of the report, after SAMed (arXiv 2304.13785).
    """

    def __init__(self, decoder: SamMaskDecoder, classes: int) -> None:
        super().__init__()
        sources = source_tokens(classes, decoder.num_mask_tokens)
        self.iou_token = decoder.iou_token
        self.mask_tokens = nn.Embedding(len(sources), decoder.hidden_size)
        self.transformer = decoder.transformer
        self.upscale_conv1 = decoder.upscale_conv1
        self.upscale_layer_norm = decoder.upscale_layer_norm
        self.upscale_conv2 = decoder.upscale_conv2
        self.hypernetworks = StackedHypernetworks([decoder.output_hypernetworks_mlps[s] for s in sources])
        self.iou_prediction_head = decoder.iou_prediction_head
        iou = self.iou_prediction_head.proj_out
        self.iou_prediction_head.proj_out = nn.Linear(iou.in_features, len(sources))
        with torch.no_grad():
            self.mask_tokens.weight.copy_(decoder.mask_tokens.weight[sources])
            self.iou_prediction_head.proj_out.weight.copy_(iou.weight[sources])
            self.iou_prediction_head.proj_out.bias.copy_(iou.bias[sources])

    def forward(self, embeddings: Tensor, positions: Tensor, sparse: Tensor | None, dense: Tensor) -> Tensor:
        """Masks of all tokens.

        Args:
            embeddings: Image embeddings, (B, C, h, w).
            positions: Positional encoding of the embedding's grid, (1, C, h, w).
            sparse: Point and box prompts, (B, 1, P, C); None is the default prompt.
            dense: Mask prompt or the "no mask" embedding, broadcastable to (B, C, h, w).

        Returns:
            Mask logits, (B, K + 1, 4h, 4w): SAM's single mask, then the classes.
        """
        batch, channels, height, width = embeddings.shape
        output = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
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
        image = F.gelu(self.upscale_layer_norm(self.upscale_conv1(image)))
        image = F.gelu(self.upscale_conv2(image))
        hyper = self.hypernetworks(attended[:, 0, 1 : len(output)])
        masks: Tensor = (hyper @ image.flatten(2)).view(batch, -1, *image.shape[2:])
        return masks


class ClassAwareSam(nn.Module):
    """A SAM that segments K classes without a prompt: images in, K logits per pixel out."""

    def __init__(self, base: SamModel, classes: int) -> None:
        """Take over the base's modules; the base must not be used afterwards.

        Args:
            base: Pretrained SAM.
            classes: Number of classes K, background included.
        """
        super().__init__()
        self.image_encoder = base.vision_encoder
        self.prompt_encoder = base.prompt_encoder
        self.mask_decoder = ClassAwareMaskDecoder(base.mask_decoder, classes)

    def encode(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to image embeddings (B, C, h, w)."""
        embeddings: Tensor = self.image_encoder(images).last_hidden_state
        return embeddings

    def decode(self, embeddings: Tensor) -> Tensor:
        """Image embeddings (B, C, h, w) to class logits under the default prompt, (B, K, 4h, 4w)."""
        dense = self.prompt_encoder.no_mask_embed.weight[:, :, None, None]
        positions = self._positions(embeddings.shape[2], embeddings.shape[3])
        masks: Tensor = self.mask_decoder(embeddings, positions, None, dense)
        return masks[:, 1:]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to class logits (B, K, 4h, 4w)."""
        return self.decode(self.encode(images))

    def _positions(self, height: int, width: int) -> Tensor:
        """Positional encoding of the centres of an embedding's cells, (1, C, h, w)."""
        encoding = self.prompt_encoder.shared_embedding
        like = encoding.positional_embedding
        y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
        positions: Tensor = encoding(grid).permute(2, 0, 1)[None]
        return positions
