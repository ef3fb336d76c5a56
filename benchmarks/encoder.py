"""The image encoder of SAM ViT-B beside transformers', same weights: time in turns, peak memory, rate.

python benchmarks/encoder.py                       # sides 512 and 1024, all cores
python benchmarks/encoder.py --sizes 512 --processor   # processor time of one thread, on a machine in use
"""

from __future__ import annotations

import argparse

import torch
from sides import Clock, Line, in_turns, matrix_rate, peak_beyond, peak_of, report
from torch import Tensor, nn
from transformers import SamModel

from samtailor.models.sam import VitSize, sam_config, vit_sam

VIT_B = VitSize(768, 12, 12, (2, 5, 8, 11))


def gflop(size: int) -> float:
    """What a forward pass needs, in 1e9: projections and MLPs of all tokens, attention, patches, neck."""
    tokens, width = (size // 16) ** 2, VIT_B.width
    linear = VIT_B.depth * 12 * width**2 * tokens
    everywhere = len(VIT_B.global_blocks) * 2 * tokens**2 * width
    windows = (VIT_B.depth - len(VIT_B.global_blocks)) * 2 * tokens * VIT_B.window**2 * width
    ends = tokens * (3 * 16**2 * width + width * 256 + 9 * 256**2)
    return 2e-9 * (linear + everywhere + windows + ends)


def peer_of(size: int) -> nn.Module:
    """Transformers' encoder for an image side, random weights."""
    torch.manual_seed(0)
    whole = VitSize(VIT_B.width, VIT_B.depth, VIT_B.heads, VIT_B.global_blocks, image_size=size)
    encoder: nn.Module = SamModel(sam_config(whole)).eval().vision_encoder
    return encoder


def ours_of(size: int) -> nn.Module:
    """Our encoder for an image side, random weights."""
    torch.manual_seed(0)
    whole = VitSize(VIT_B.width, VIT_B.depth, VIT_B.heads, VIT_B.global_blocks, image_size=size)
    encoder: nn.Module = vit_sam(whole).eval().vision_encoder
    return encoder


def with_weights_of(ours: nn.Module, peer: nn.Module) -> nn.Module:
    """Our encoder with the peer's weights, its fused projections split."""
    state: dict[str, Tensor] = {}
    for name, value in peer.state_dict().items():
        if ".attn.qkv." in name:
            for part, split in zip("qkv", value.chunk(3), strict=True):
                state[name.replace("qkv", f"{part}_proj")] = split
        else:
            state[name.replace(".attn.proj.", ".attn.out_proj.")] = value
    ours.load_state_dict(state)
    return ours


@torch.inference_mode()
def line(size: int, repeats: int, clock: Clock, rate: float) -> Line:
    """Measure one image side."""
    peer = peer_of(size)
    ours = with_weights_of(ours_of(size), peer)
    image = torch.randn(1, 3, size, size)
    difference = ours(image).last_hidden_state - peer(image).last_hidden_state
    if difference.abs().max() > 1e-3:
        raise SystemExit(f"the two encoders differ by {difference.abs().max():.1e}")
    seconds = in_turns(lambda: ours(image), lambda: peer(image), repeats, clock)
    gigabytes = [peak_of(__file__, "--peak", side, "--sizes", str(size)) for side in ("ours", "peer")]
    return Line(f"encoder, ViT-B, {size} px", clock, *seconds, *gigabytes, gflop(size), rate)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--peak", choices=["ours", "peer"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        network = (ours_of if args.peak == "ours" else peer_of)(args.sizes[0])
        image = torch.randn(1, 3, args.sizes[0], args.sizes[0])
        with torch.inference_mode():
            print(peak_beyond(lambda: network(image)))
        return
    clock: Clock = "processor" if args.processor else "wall"
    if args.processor:
        torch.set_num_threads(1)
    rate = matrix_rate(clock)
    report([line(size, args.repeats, clock, rate) for size in args.sizes], args.json)


if __name__ == "__main__":
    main()
