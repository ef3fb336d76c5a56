"""Dense CRF at the boundaries of objects; the mean field is pydensecrf2's (an extra: it needs a C++ compiler)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.extras import require_extra
from samtailor.refinement.domain import Box, Domain, boxes_around, domains, inside, pieces
from samtailor.refinement.step import RefinementStep
from samtailor.settings import Within

_BYTES = 1 << 29
"""Memory that the mean field may take."""
_LATTICE = 1 << 14
"""Coordinates of its lattice that stay within 16 bits, with room for the neighbours."""


@dataclass(frozen=True)
class DenseCrf(RefinementStep, group="refine.crf"):
    """Draws boundaries where the image has them: a fully connected CRF on class probabilities and image.

    Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials (2011): Potts
    costs between all pairs of voxels, by a Gaussian kernel of their distance and a bilateral one of their distance and
    their intensities (Eq. 3). Volumes are worked on as such, with their spacing, pictures slice by slice.

    It works in boxes around the objects, with the classes that are probable there; boxes too large for half a gigabyte
    are worked on in pieces.

    Attributes:
        iterations: Of the mean field.
        gaussian_weight: Cost of different classes nearby.
        gaussian_width: How far 'nearby' is: standard deviation in mm for volumes, in pixels for pictures.
        bilateral_weight: Cost of different classes not far apart that look alike.
        bilateral_width: How far 'not far apart' is: standard deviation in mm for volumes, in pixels for pictures.
        bilateral_intensity: How much two voxels that look alike may differ: standard deviation of each channel, whose
            intensities go from 0 to 1.
        margin: What is looked at around each object, in mm for volumes, in pixels for pictures.
    """

    needs_probabilities = True

    iterations: Annotated[int, Within(1, 100)] = 5
    gaussian_weight: Annotated[float, Within(0, 1000)] = 3.0
    gaussian_width: Annotated[float, Within(0.1, 1000)] = 3.0
    bilateral_weight: Annotated[float, Within(0, 1000)] = 5.0
    bilateral_width: Annotated[float, Within(0.1, 1000)] = 30.0
    bilateral_intensity: Annotated[float, Within(0.01, 10)] = 0.1
    margin: Annotated[float, Within(0, 1000)] = 10.0

    def require_ready(self) -> None:
        """Refuse where pydensecrf2 is not installed."""
        require_extra("pydensecrf.densecrf", "crf", "crf", "refine")

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The label with other boundaries, (S, H, W)."""
        refined = label.copy()
        for place, domain in domains("crf", label, probabilities, slices, spacing):
            target, margin = refined[place], domain.voxels(self.margin)
            for box in boxes_around(domain.label > 0, margin):
                for core, outer in pieces(box, margin, partial(self._fits, domain)):
                    target[core] = self._most_probable(domain, outer)[inside(core, outer)]
        return refined

    def _fits(self, domain: Domain, box: Box) -> bool:
        """Whether a box can be worked on at once; what the lattice takes was measured with pydensecrf2 1.1."""
        lengths = domain.label[box].shape
        features = len(lengths) + domain.slices.shape[1]
        extent = max(n * step for n, step in zip(lengths, domain.spacing, strict=True))
        if extent / min(self.gaussian_width, self.bilateral_width) * (features + 1) > _LATTICE:
            return False
        classes = len(domain.classes(box))
        each = (features + 1) * (8 * features + 40 + 8 * classes) + 24 * classes
        return int(np.prod(lengths)) * each <= _BYTES

    def _most_probable(self, domain: Domain, box: Box) -> NDArray[np.int16]:
        """Most probable class of every voxel of a box after the mean field."""
        classes = domain.classes(box)
        if len(classes) == 1:
            return np.asarray(domain.label[box])
        densecrf = require_extra("pydensecrf.densecrf", "crf", "crf", "refine")
        likelihoods = domain.likelihoods(box, classes)
        shape = likelihoods.shape[1:]
        crf = densecrf.DenseCRF(int(np.prod(shape)), len(classes))
        crf.setUnaryEnergy(-np.log(likelihoods.reshape(len(classes), -1) + np.float32(1e-5)))
        step = np.array(domain.spacing, np.float32)[:, None]
        places = np.indices(shape, np.float32).reshape(len(shape), -1) * step
        colours = domain.image(box).reshape(domain.slices.shape[1], -1) / np.float32(self.bilateral_intensity)
        bilateral = np.concatenate([places / np.float32(self.bilateral_width), colours])
        crf.addPairwiseEnergy(places / np.float32(self.gaussian_width), compat=self.gaussian_weight)
        crf.addPairwiseEnergy(bilateral, compat=self.bilateral_weight)
        found = np.asarray(crf.inference(self.iterations)).argmax(axis=0)
        return np.asarray(np.array(classes, np.int16)[found].reshape(shape))
