"""Level sets at the boundaries of objects; the evolutions are scikit-image's and ITK's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil, prod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.extras import require_extra
from samtailor.refinement.domain import Box, Domain, boxes_around, domains, grown, inside, moved, pieces
from samtailor.refinement.step import RefinementStep
from samtailor.settings import Within

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

_BYTES = 1 << 29
"""Memory that an evolution may take."""
_REACH = 3
"""Standard deviations of the smoothing that an edge is looked for in, beyond the band."""


@dataclass(frozen=True)
class LevelSet(RefinementStep, group="refine.level-set"):
    """Moves outlines to the edges of the image, or to where the intensities part.

    Each class in boxes around its objects, in a volume in three dimensions, resampled to isotropic voxels, pictures
    slice by slice. A voxel that several classes claim becomes the most probable of them, one that none claims the most
    probable but its own. An outline that collapses, or turns inside out, stays as it was.

    Attributes:
        method: 'geodesic': morphological geodesic active contours (Márquez-Neila, Baumela and Álvarez 2014), drawn to
            edges. 'chan-vese': morphological Chan-Vese, to where inside and outside have the intensities of their
            means; of several channels, along the line between the means. 'itk-geodesic': ITK's geodesic active
            contours (Caselles, Kimmel and Sapiro 1997), needs SimpleITK.
        iterations: Steps of the evolution.
        band: How far an outline may move, in mm for volumes, in pixels for pictures.
        smoothing: How strongly outlines are smoothed.
        growth: Whether outlines grow (above 0) or shrink (below 0) where there is no edge; not for 'chan-vese'.
        edge_width: Standard deviation of the smoothing of the image before edges are looked for, in mm for volumes, in
            pixels for pictures; not for 'chan-vese'.
        edge_contrast: Rise of the intensity, which goes from 0 to 1, from voxel to voxel that is an edge; not for
            'chan-vese'.
    """

    needs_probabilities = True

    method: Literal["geodesic", "chan-vese", "itk-geodesic"] = "geodesic"
    iterations: Annotated[int, Within(1, 1000)] = 20
    band: Annotated[float, Within(0, 1000)] = 5.0
    smoothing: Annotated[int, Within(0, 10)] = 1
    growth: Annotated[float, Within(-1, 1)] = 0.0
    edge_width: Annotated[float, Within(0, 100)] = 1.0
    edge_contrast: Annotated[float, Within(0, 1, above=True)] = 0.03

    def require_ready(self) -> None:
        """Refuse where SimpleITK is needed and not installed."""
        if self.method == "itk-geodesic":
            _itk()

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The label with other outlines, (S, H, W)."""
        refined = np.empty_like(label)
        for place, domain in domains("level-set", label, probabilities, slices, spacing):
            refined[place] = self._settled(domain)
        return refined

    def _settled(self, domain: Domain) -> NDArray[np.int16]:
        """The label of a domain after the evolution of all its classes."""
        from scipy import ndimage

        label = domain.label
        settled = np.zeros_like(label)
        claims = np.full(label.shape, -1, np.float16)  # how probable the class is that has a voxel
        margin = domain.voxels(self.band + _REACH * self.edge_width)
        for class_id, found in enumerate(ndimage.find_objects(label), start=1):
            if found is None:  # the class does not occur
                continue
            place = grown(found, margin)
            for box in boxes_around(label[place] == class_id, margin):
                for core, outer in pieces(moved(box, place), margin, partial(self._fits, domain)):
                    claimed = self._evolved(domain, class_id, outer)[inside(core, outer)]
                    probable = domain.probabilities[class_id][core]
                    claimed &= probable > claims[core]
                    settled[core][claimed] = class_id
                    claims[core][claimed] = probable[claimed]
        given_up = np.nonzero((claims < 0) & (label > 0))
        if len(given_up[0]):
            others = np.stack([of_class[given_up] for of_class in domain.probabilities])
            others[label[given_up], np.arange(others.shape[1])] = -1
            settled[given_up] = others.argmax(axis=0)
        return settled

    def _fits(self, domain: Domain, box: Box) -> bool:
        """Whether a box can be worked on at once."""
        sides = _isotropic(domain.label[box].shape, domain.spacing)
        voxels = prod(side + 2 * _MARGIN if side > 1 else side for side in sides)
        return voxels * (4 * domain.slices.shape[1] + 80) <= _BYTES

    def _evolved(self, domain: Domain, class_id: int, box: Box) -> Mask:
        """Where a class is in a box after its outline has moved."""
        from scipy import ndimage

        mask: Mask = domain.label[box] == class_id
        if mask.all() or not mask.any():
            return mask
        distance = ndimage.distance_transform_edt(mask, domain.spacing)
        distance -= ndimage.distance_transform_edt(~mask, domain.spacing)
        shape = _isotropic(mask.shape, domain.spacing)
        start = _resampled(distance, shape) > 0
        image = np.stack([_resampled(channel, shape) for channel in domain.image(box)])
        axes = [axis for axis, length in enumerate(shape) if length > 1]
        flat = start.squeeze()
        steps = [domain.spacing[axis] * (mask.shape[axis] - 1) / (shape[axis] - 1) for axis in axes]
        evolved = self._moved(flat, image.reshape(len(image), *flat.shape), steps).reshape(shape)
        evolved = np.where(np.abs(distance) <= self.band, _resampled(evolved, mask.shape) > 0.5, mask)
        # A contour that has collapsed, or turned inside out, holds no larger share of the object than of the outside.
        return evolved if evolved[mask].mean() > evolved[~mask].mean() else mask

    def _moved(self, mask: Mask, image: Values, steps: list[float]) -> Mask:
        """The evolution alone, in nearly isotropic voxels that are `steps` apart; image (C, ...).

        Objects go on beyond the borders: they would be worn away there, and most of a thin volume is a border.
        """
        if mask.ndim < 2 or mask.all() or not mask.any():
            return mask
        inner = tuple(slice(_MARGIN, -_MARGIN) for _ in mask.shape)
        mask = np.pad(mask, _MARGIN, "edge")
        image = np.pad(image, [(0, 0), *[(_MARGIN, _MARGIN)] * mask.ndim], "edge")
        return self._moved_inside(mask, image, steps)[inner]

    def _moved_inside(self, mask: Mask, image: Values, steps: list[float]) -> Mask:
        """The same, with the borders moved as if nothing were beyond."""
        from skimage import segmentation

        if self.method == "chan-vese":
            found = segmentation.morphological_chan_vese(
                _along_means(image, mask), self.iterations, mask, smoothing=self.smoothing
            )
            return np.asarray(found, np.bool_)
        edges = self._edges(image, steps)
        if self.method == "itk-geodesic":
            return self._by_itk(mask, edges)
        found = segmentation.morphological_geodesic_active_contour(
            edges, self.iterations, mask, smoothing=self.smoothing, threshold=0.5, balloon=self.growth
        )
        return np.asarray(found, np.bool_)

    def _edges(self, image: Values, steps: list[float]) -> Values:
        """One where the image (C, ...) is flat, towards zero at edges; channels together as the root of their mean."""
        from scipy import ndimage

        widths = [max(self.edge_width / step, 0.5) for step in steps]
        squares = [ndimage.gaussian_gradient_magnitude(channel, widths) ** 2 for channel in image]
        return np.asarray(1 / (1 + np.mean(squares, axis=0) / self.edge_contrast**2), np.float32)

    def _by_itk(self, mask: Mask, edges: Values) -> Mask:
        """ITK's evolution of the signed distance, which is negative inside."""
        from scipy import ndimage

        itk = _itk()
        distance = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
        evolution = itk.GeodesicActiveContourLevelSetImageFilter()
        evolution.SetPropagationScaling(self.growth)
        evolution.SetCurvatureScaling(float(self.smoothing))
        evolution.SetAdvectionScaling(_ADVECTION)
        evolution.SetMaximumRMSError(_STILL)
        evolution.SetNumberOfIterations(self.iterations)
        start, edge_image = (itk.GetImageFromArray(x.astype(np.float32)) for x in (distance, edges))
        return np.asarray(itk.GetArrayFromImage(evolution.Execute(start, edge_image)) <= 0)


_ADVECTION = 3.0
"""How much stronger ITK's contours are drawn to edges than smoothed."""
_MARGIN = 4
"""Voxels that are added at borders: as many as keep objects whole there, and more than ITK's derivatives need."""
_STILL = 1e-3
"""Change of the level set, in voxels, below which ITK's evolution has come to its end."""


def _itk() -> Any:
    return require_extra("SimpleITK", "level-set", "the method itk-geodesic of level-set", "refine")


def _isotropic(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[int, ...]:
    """Voxels along each axis of a grid between the same ends that is as fine everywhere as on its finest axis."""
    finest = min(spacing)
    return tuple(ceil((length - 1) * step / finest - 1e-3) + 1 for length, step in zip(shape, spacing, strict=True))


def _resampled(values: NDArray[Any], shape: tuple[int, ...]) -> Values:
    """Values on another grid between the same ends, linearly."""
    from scipy import ndimage

    if values.shape == shape:
        return np.asarray(values, np.float32)
    factors = [new / old for new, old in zip(shape, values.shape, strict=True)]
    return np.asarray(ndimage.zoom(values.astype(np.float32), factors, order=1, mode="nearest"), np.float32)


def _along_means(image: Values, mask: Mask) -> Values:
    """Intensities of an image (C, ...) along the line from the mean outside a mask to that inside."""
    line = image[:, mask].mean(axis=1) - image[:, ~mask].mean(axis=1)
    length = float(np.linalg.norm(line))
    return np.tensordot(line / length if length else line, image, axes=1)
