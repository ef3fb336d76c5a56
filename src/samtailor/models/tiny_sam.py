"""SAM with a TinyViT image encoder: LiteMedSAM and MobileSAM."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn
from transformers import SamConfig

from samtailor.models.sam import AnySizeSam, decoder_config
from samtailor.models.tiny_vit import TinyViT, TinyViTConfig
from samtailor.models.window_attention import WindowAttention, window_distances


class TinySam(AnySizeSam):
    """transformers' `SamModel` with a TinyViT as image encoder; called as `SamModel` is.

    transformers knows no such network: `TinySam.from_pretrained` opens what `save_pretrained` wrote.
    """

    def __init__(self, config: SamConfig) -> None:
        """Build with random weights; `config` has the encoder's settings under `tiny_vit`."""
        super().__init__(config)
        # A configuration that was read from JSON has lists where there were tuples.
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.tiny_vit.items()}
        self.vision_encoder = TinyViT(TinyViTConfig(**settings))

    def _init_weights(self, module: nn.Module) -> None:
        """Fill new modules; `from_pretrained` asks for buffers that no file holds."""
        super()._init_weights(module)
        if isinstance(module, WindowAttention):
            module.bias_index.copy_(window_distances(module.window)[1])


def tiny_sam(encoder: TinyViTConfig, image_size: int) -> TinySam:
    """SAM with a TinyViT, with random weights, for images of that side (in pixels) in the pretraining."""
    width = encoder.output_channels
    # The ViT that SamModel builds is replaced at once: no layers and few channels keep that cheap.
    vision = {"num_hidden_layers": 0, "hidden_size": 48, "output_channels": width, "num_pos_feats": width // 2}
    sizes = {"image_size": image_size, "patch_size": encoder.stride}
    config = SamConfig(
        vision_config=vision | sizes,
        prompt_encoder_config={"hidden_size": width} | sizes,
        mask_decoder_config=decoder_config(width),
        tiny_vit=asdict(encoder),
    )
    return TinySam(config)
