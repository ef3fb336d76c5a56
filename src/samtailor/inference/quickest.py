"""The precision that predicts fastest on this machine: bfloat16 on some CPUs, tried once before much is predicted.

Which it is depends on the CPU, its threads and the network: with AMX and two threads `lite-medsam` takes 0.62 of the
time of float32 for one image, without such instructions several times as long.
"""

from __future__ import annotations

from time import process_time
from weakref import WeakKeyDictionary

import torch

from samtailor.inference.predictor import choose_device, computed_in
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.settings import Precision

LEAST_GAIN = 0.1
"""By how much bfloat16 must be faster to be taken: less is noise, and its masks differ in a few pixels."""

FEW = 40
"""Images up to which nothing is tried, as nothing would be gained."""

_LEAST_SECONDS = 0.1
"""Networks that take less for a batch, on all threads together, are not worth it either."""

_LARGEST_BATCH = 4
"""Images that are tried at once at most: more take longer, and say the same."""
_TRIALS = 2

_tried: WeakKeyDictionary[SegmenterModel, dict[int, Precision]] = WeakKeyDictionary()


def quickest(
    model: SegmenterModel, batch_size: int, device: str, precision: Precision, images: int | None
) -> Precision:
    """What 'auto' means where so many images are predicted (None is many); any other precision as it is.

    On a CPU that computes in bfloat16 the network is run in both precisions on images of its size, once in a process;
    that takes as long as some twenty images. Elsewhere, and for few images, nothing is tried.
    """
    if precision != "auto" or choose_device(device).type != "cpu" or not has_bfloat16():
        return precision
    if images is not None and images <= FEW:
        return precision
    known = _tried.setdefault(model, {})
    batch = min(batch_size, _LARGEST_BATCH)
    if batch not in known:
        known[batch] = _tried_out(model, batch)
    return known[batch]


def has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16; where torch does not tell, it is taken as one that does not."""
    try:
        found = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):
        return False
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _tried_out(model: SegmenterModel, batch: int) -> Precision:
    """Time both precisions in turn, by what the process takes: what else the machine does must not decide."""
    preprocessing, group = model.preprocessing, model.group
    channels = preprocessing.channels if model.network.is_projected else 3
    size = preprocessing.image_size
    images = torch.rand(-(-batch // group) * group, channels, size, size, device=model.device)
    choices: tuple[Precision, Precision] = ("32", "bf16")
    seconds = dict.fromkeys(choices, float("inf"))
    for trial in range(1 + _TRIALS):  # the first one makes room and chooses kernels
        for choice in choices:
            start = process_time()
            with torch.inference_mode(), computed_in(choice, model.device):
                model(images)
            if trial:
                seconds[choice] = min(seconds[choice], process_time() - start)
    return better(seconds["32"], seconds["bf16"])


def better(single: float, half: float) -> Precision:
    """The precision to take, given the seconds that a batch takes in float32 and in bfloat16."""
    return "bf16" if single >= _LEAST_SECONDS and half <= (1 - LEAST_GAIN) * single else "32"
