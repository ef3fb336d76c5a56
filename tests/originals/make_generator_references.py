"""Run the authors' own mask generators on tiny networks and store what they keep; for developers, not for the tests.

The packages are fetched without their dependencies and put, unpacked, on PYTHONPATH, beside OpenCV:

    pip download --no-deps segment-anything==1.0 sam2==1.1.0
    pip install --no-deps --target UNPACKED opencv-python-headless
    PYTHONPATH=UNPACKED python -m tests.originals.make_generator_references   # writes generator.safetensors

The little of torchvision that they use is stood in for here.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.originals.authors import _enter, _stand_in
from tests.originals.generator_cases import CASES, SIDE, GeneratorCase
from tests.originals.make_references import build, load
from tests.originals.weights import random_state

FILE = Path(__file__).parent / "generator.safetensors"


def batched_nms(boxes: Tensor, scores: Tensor, categories: Tensor, iou_threshold: float) -> Tensor:
    """torchvision's, for one category: greedy, by falling score."""
    kept: list[int] = []
    for i in torch.sort(scores, descending=True, stable=True).indices.tolist():
        if all(_iou(boxes[i], boxes[j]) <= iou_threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)


def _iou(first: Tensor, second: Tensor) -> float:
    low, high = torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])
    both = (high - low).clamp(min=0).prod()
    union = box_area(first[None])[0] + box_area(second[None])[0] - both
    return float(both / union) if union > 0 else 0.0


def box_area(boxes: Tensor) -> Tensor:
    """torchvision's."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


class ToTensor:
    """torchvision's, for 8-bit pictures."""

    def __call__(self, picture: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float().div(255)


class Resize(nn.Module):
    """torchvision's, for tensors: bilinear with antialiasing."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(image[None], self.size, mode="bilinear", align_corners=False, antialias=True)[0]


class Normalize(nn.Module):
    """torchvision's."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean, self.std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """torchvision's, for Pillow's pictures."""
    return picture.resize(size[::-1], Image.Resampling.BILINEAR)


def generator_of(case: GeneratorCase) -> Any:
    """The authors' generator on the tiny network with random weights."""
    for name in ("torchvision", "torchvision.ops"):
        _stand_in(name)
    _stand_in("torchvision.ops.boxes", batched_nms=batched_nms, box_area=box_area)
    _stand_in("torchvision.transforms", ToTensor=ToTensor, Resize=Resize, Normalize=Normalize)
    _stand_in("torchvision.transforms.functional", resize=resize, to_pil_image=Image.fromarray)
    torch.jit.script = lambda module: module  # type: ignore[assignment]
    network = build(case.network, SIDE)
    load(network, random_state({key: tuple(value.shape) for key, value in network.state_dict().items()}))
    network.eval()
    if case.network == "sam":
        _enter("segment_anything")
        sam = import_module("segment_anything.modeling.sam").Sam(
            network.image_encoder, network.prompt_encoder, network.mask_decoder
        )
        settings = dict(case.settings)
        sam.mask_threshold = settings.pop("mask_threshold")  # an attribute of the network in the first SAM
        module = import_module("segment_anything.automatic_mask_generator")
        return module.SamAutomaticMaskGenerator(sam.eval(), **settings)
    generator = import_module("sam2.automatic_mask_generator").SAM2AutomaticMaskGenerator(network, **case.settings)
    # Written down for 1024 pixels in the predictor.
    generator.predictor._bb_feat_sizes = [(SIDE // stride, SIDE // stride) for stride in (4, 8, 16)]
    return generator


def main() -> None:
    """Store the records of all cases."""
    stored: dict[str, Tensor] = {}
    for case in CASES:
        records = generator_of(case).generate(case.image())
        masks = np.array([record["segmentation"] for record in records]).reshape(len(records), -1)
        numbers = [
            [*r["bbox"], *r["crop_box"], *r["point_coords"][0], r["area"], r["predicted_iou"], r["stability_score"]]
            for r in records
        ]
        stored[f"{case.key}/masks"] = torch.from_numpy(
            np.frombuffer(zlib.compress(np.packbits(masks.T).tobytes(), 9), np.uint8).copy()
        )
        stored[f"{case.key}/numbers"] = torch.tensor(numbers, dtype=torch.float64).view(-1, 13)
        found = stored[f"{case.key}/numbers"]
        print(case.key, len(records), "records; IoU", _spread(found[:, 11]), "stability", _spread(found[:, 12]))
    save_file(stored, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} kB")


def _spread(values: Tensor) -> list[float]:
    return [round(float(value), 4) for value in torch.quantile(values, torch.tensor([0.0, 0.5, 1.0]).double())]


if __name__ == "__main__":
    main()
