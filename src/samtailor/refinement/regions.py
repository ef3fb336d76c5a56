"""A basic segmentation of an image, whose regions take the class that is most probable in them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_SUPERPIXELS = 150  # of a window
_APART = 3  # pixels between the watershed's markers
_FLAT = 2**-11  # a range below it is rounding: the step, near 1, of the half precision that slices are kept in


def label_by_regions(
    image: Tensor, scores: Tensor, how: Literal["threshold", "watershed", "slic"]
) -> NDArray[np.int64]:
    """Class indices (n, n): in each region of the image the class with the largest mean probability.

    Args:
        image: A network input in [0, 1], (C, N, N).
        scores: Class logits, (K, n, n).
        how: 'threshold' has the connected parts on both sides of Otsu's threshold; 'watershed' the basins of the
            gradient; 'slic' superpixels (Achanta et al. 2012).
    """
    small = F.interpolate(image[None].float(), scores.shape[1:], mode="bilinear", antialias=True)[0]
    regions = torch.from_numpy(_regions(small.permute(1, 2, 0).cpu().numpy(), how)).flatten()
    probabilities = scores.softmax(dim=0).flatten(1).cpu()
    sums = torch.zeros(len(scores), int(regions.max()) + 1).index_add_(1, regions, probabilities)
    label: NDArray[np.int64] = sums.argmax(dim=0)[regions].view(scores.shape[1:]).numpy()
    return label


def _regions(image: NDArray[np.float32], how: Literal["threshold", "watershed", "slic"]) -> NDArray[np.int64]:
    """Number of the region of each pixel of an image (n, n, C), from 0."""
    from skimage import feature, filters, measure, segmentation

    gray = image.mean(axis=2)
    if how == "slic":
        found = segmentation.slic(image, n_segments=_SUPERPIXELS, compactness=0.1, start_label=0, channel_axis=2)
    elif np.ptp(gray) < _FLAT:
        found = np.zeros(gray.shape, int)
    elif how == "threshold":
        found = measure.label((gray > filters.threshold_otsu(gray)).astype(int), background=-1, connectivity=1) - 1
    else:
        gradient = filters.sobel(gray)
        markers = np.zeros(gray.shape, int)
        places = feature.peak_local_max(-gradient, min_distance=_APART, exclude_border=False)
        markers[tuple(places.T)] = 1 + np.arange(len(places))
        found = segmentation.watershed(gradient, markers) - 1
    numbers: NDArray[np.int64] = np.ascontiguousarray(found, np.int64)
    return numbers
