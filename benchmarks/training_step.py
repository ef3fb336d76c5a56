"""A LoRA training step of SAM ViT-B beside transformers' SamModel with peft on its fused projections.

    python benchmarks/training_step.py                             # side 512, batch 1, 14 classes, all cores
    python benchmarks/training_step.py --size 256 --processor      # processor time of one thread

Both train the same: B A of rank 4 beside the encoder's projections and the decoder's queries and values, prompt encoder
and segmentation head whole; cross entropy and Dice on the low-resolution logits; AdamW.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from encoder import VIT_B, gflop
from peft import LoraConfig, inject_adapter_in_model
from sides import Clock, Line, in_turns, matrix_rate, peak_beyond, peak_of, report
from torch import Tensor, nn
from transformers import SamModel

from samtailor.losses import ClassAwareLoss
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.sam import VitSize, sam_config, vit_sam
from samtailor.recipes.apply import apply_recipe
from samtailor.recipes.config import LoRA

Step = Callable[[], object]


def step_of(side: str, size: int, batch: int, classes: int, recompute: bool) -> Step:
    """Training step of one side, 'ours' or 'peer', on random images and weights."""
    torch.manual_seed(0)
    whole = VitSize(VIT_B.width, VIT_B.depth, VIT_B.heads, VIT_B.global_blocks, image_size=size)
    images, target = torch.randn(batch, 3, size, size), torch.randint(classes, (batch, size, size))
    if side == "ours":
        network: nn.Module = ClassAwareSam(vit_sam(whole), classes).train()
        apply_recipe(network, LoRA(rank=4))
        network.recompute_activations(recompute)
        return stepping(network, network, images, target)
    config = sam_config(whole)
    config.mask_decoder_config.num_multimask_outputs = classes
    peer = SamModel(config).train()
    adapted = r".*vision_encoder\..*\.qkv|.*mask_decoder\.transformer\..*\.(q|v)_proj"
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=4, target_modules=adapted), peer)
    for name, parameter in peer.named_parameters():
        head = not name.startswith(("vision_encoder.", "mask_decoder.transformer.", "shared_image_embedding."))
        parameter.requires_grad = "lora_" in name or (head and "shared_embedding" not in name)
    return stepping(peer, lambda x: peer(x, multimask_output=True).pred_masks[:, 0], images, target)


def stepping(network: nn.Module, logits: Callable[[Tensor], Tensor], images: Tensor, target: Tensor) -> Step:
    """Forward, loss, backward and update as one call."""
    loss = ClassAwareLoss()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss(logits(images), target).backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--recompute", action="store_true", help="ours recomputes activations (--checkpointing)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--peak", choices=["ours", "peer"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    settings = (args.size, args.batch, args.classes, args.recompute)
    if args.peak:
        print(peak_beyond(step_of(args.peak, *settings)))
        return
    clock: Clock = "processor" if args.processor else "wall"
    if args.processor:
        torch.set_num_threads(1)
    rate = matrix_rate(clock)
    seconds = in_turns(step_of("ours", *settings), step_of("peer", *settings), args.repeats, clock)
    numbers = ["--size", str(args.size), "--batch", str(args.batch), "--classes", str(args.classes)]
    recompute = ["--recompute"] if args.recompute else []
    gigabytes = [peak_of(__file__, "--peak", side, *numbers, *recompute) for side in ("ours", "peer")]
    work = f"LoRA r=4 step, ViT-B, {args.size} px, batch {args.batch}, {args.classes} classes"
    # Frozen weights need no gradient: the backward pass costs what the forward pass does.
    report([Line(work, clock, *seconds, *gigabytes, 2 * args.batch * gflop(args.size), rate)], args.json)


if __name__ == "__main__":
    main()
