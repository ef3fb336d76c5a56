"""Segmenting everything in one image: ours beside transformers' decoder, on the same image, points and thresholds.

    python benchmarks/everything.py                                  # lite-medsam's size, minutes on one core
    python benchmarks/everything.py --base sam-vit-b --points 32 --json results.json

The plain way is what the authors' generators do, with transformers' decoder: all masks of a batch of points, enlarged
to the network's input and to the image, then dropped by predicted IoU and stability. Both get the same image embedding:
the encoder is not part of it. The predicted IoU that is asked for is set so that `--kept` of the masks pass. Both take
turns in one process; the minimum is given, which other programs on the machine disturb least. Weights are random unless
the published ones are asked for (`--weights published`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from samtailor.baselines.crops import point_grid
from samtailor.baselines.image_input import InputRule
from samtailor.baselines.prompted_image import PromptedImage
from samtailor.models.sam2 import HieraSam
from samtailor.models.zoo import find_base, load_base


def main() -> None:
    """Measure, print a table, and write it as JSON if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="lite-medsam")
    parser.add_argument("--points", type=int, default=8, help="points along a side of the grid")
    parser.add_argument("--batch", type=int, default=16, help="points at once of the plain way (64 in the originals)")
    parser.add_argument("--side", type=int, default=224, help="side of the image")
    parser.add_argument("--kept", type=float, nargs="*", default=[0.0, 0.3, 1.0], help="share of masks that pass")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", choices=("random", "published"), default="random")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = measure(args)
    print("| base | points | masks kept | plain s | ours s | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        times = f"{row['plain']:.2f} | {row['ours']:.2f} | {row['plain'] / row['ours']:.1f}"
        print(f"| {row['base']} | {row['points']} | {row['kept']:.0%} | {times} |")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows, indent=1))


@torch.inference_mode()
def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each share of kept masks."""
    torch.manual_seed(0)
    base = find_base(args.base)
    network = load_base(args.base) if args.weights == "published" else base.build().eval()
    image = np.random.default_rng(0).integers(0, 255, (args.side, args.side, 3), dtype=np.uint8)
    shown = PromptedImage(network, InputRule.of(base, None), image)
    points = point_grid(args.points) * args.side
    scores = torch.cat([shown.decoder.transform(part).iou[:, 1:] for part in shown.embed(points[:, None]).split(8)])
    rows = []
    for kept in args.kept:
        least = 1e-12 + float(torch.quantile(scores.flatten(), 1 - kept)) if kept < 1 else float(scores.min()) - 1
        plain, ours = [], []
        for _ in range(args.repeats):
            start = time.perf_counter()
            expected = run_plain(shown, points, least, args.batch)
            middle = time.perf_counter()
            found = run_ours(shown, points, least)
            plain.append(middle - start)
            ours.append(time.perf_counter() - middle)
        assert abs(expected - found) <= 1e-4 * max(expected, 1), (expected, found)
        rows.append({"base": args.base, "points": len(points), "kept": kept, "plain": min(plain), "ours": min(ours)})
    return rows


def run_plain(shown: PromptedImage, points: np.ndarray, least: float, batch: int) -> int:
    """Pixels of all masks that pass, as the originals compute them."""
    network, side = shown.network, shown.rule.side
    finer = {"high_resolution_features": list(shown.features[1:])} if isinstance(network, HieraSam) else {}
    pixels = 0
    for start in range(0, len(points), batch):
        masks, iou = network.mask_decoder(
            image_embeddings=shown.features[0],
            image_positional_embeddings=shown.positions,
            sparse_prompt_embeddings=shown.embed(points[start : start + batch, None])[None],
            dense_prompt_embeddings=network.prompt_encoder.no_mask_embed.weight[:, :, None, None],
            multimask_output=True,
            **finer,
        )[:2]
        masks = masks[0]
        if not shown.rule.is_square:
            rows, columns = shown.rule.taken(shown.size)
            masks = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)[..., :rows, :columns]
        masks = F.interpolate(masks, shown.size, mode="bilinear", align_corners=False).flatten(0, 1)
        masks = masks[iou[0].flatten() > least]
        stability = (masks > 1).sum((1, 2)) / (masks > -1).sum((1, 2))
        del stability
        pixels += int((masks > 0).sum())
    return pixels


def run_ours(shown: PromptedImage, points: np.ndarray, least: float) -> int:
    """The same with the shared decoder; what an image shares is made anew each time."""
    from samtailor.models.shared_decoder import SharedDecoder

    dense = shown.network.prompt_encoder.no_mask_embed.weight[:, :, None, None]
    shown.decoder = SharedDecoder(shown.network.mask_decoder, shown.features, shown.positions, dense)
    upsampling = shown.upsampling()
    pixels = 0
    sparse = shown.embed(points[:, None])
    for candidate in shown.candidates(sparse, True, max(least, 0.0)):
        if candidate.iou > least:
            found = upsampling.mask(candidate.logits.numpy(), 0.0, 1.0, 0.0)
            pixels += found[0].area if found else 0
    return pixels


if __name__ == "__main__":
    main()
