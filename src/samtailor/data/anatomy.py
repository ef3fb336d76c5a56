"""Anatomy of the phantom: where its organs lie, how large they are and how bright, in a typical patient.

Positions are in mm from the middle of the trunk: x to the patient's left, y to the back, z to the head.
Intensities are HU of a portal venous CT. Organs carry the ids of FLARE22, the rest is background (0).
"""

from __future__ import annotations

from typing import NamedTuple

from samtailor.metrics.protocols import FLARE22_CLASSES

ORGANS = FLARE22_CLASSES[1:]
"""The 13 organs of FLARE22 in the order of their ids, which count from 1."""

Tube = tuple[tuple[float, float, float, float], ...]
"""A tube of varying width along a polyline: x, y, z and radius of each corner in mm."""


class Ellipsoid(NamedTuple):
    """Centre (x, y, z) and semi-axes along the body's axes, in mm."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]


class Tissue(NamedTuple):
    """The union of some shapes, with its mean HU and the standard deviations between patients of place (mm) and size.

    Its name is one of `ORGANS` for labelled tissue.
    """

    name: str
    hu: float
    shapes: tuple[Ellipsoid | Tube, ...]
    shift: float = 3.0
    size: float = 0.06


BELOW_DIAPHRAGM = (
    Tissue("ascending colon", 20, (((-112, 5, -110, 20), (-110, -5, -55, 22), (-95, -35, -45, 18)),), 5),
    Tissue("descending colon", 30, (((112, 22, -110, 15), (112, 18, -40, 16), (104, -5, 0, 15)),), 5),
    Tissue("transverse colon", 25, (((-92, -62, -52, 17), (-20, -80, -72, 16), (70, -70, -45, 16)),), 6),
    Tissue("liver", 112, (Ellipsoid((-80, -10, 22), (66, 78, 74)), Ellipsoid((-8, -52, 42), (66, 34, 34)))),
    Tissue("spleen", 132, (Ellipsoid((106, 30, 30), (26, 44, 46)), Ellipsoid((92, 48, 38), (22, 24, 30)))),
    Tissue("left kidney", 195, (Ellipsoid((70, 47, -28), (27, 26, 52)),), 4),
    Tissue("left kidney", 20, (Ellipsoid((54, 41, -28), (12, 8, 17)),), 2),
    Tissue("right kidney", 195, (Ellipsoid((-68, 48, -42), (27, 26, 52)),), 4),
    Tissue("right kidney", 20, (Ellipsoid((-52, 42, -42), (12, 8, 17)),), 2),
    Tissue(
        "stomach",
        38,
        (
            Ellipsoid((62, 2, 56), (36, 34, 30)),
            ((66, -12, 48, 32), (70, -42, 20, 29), (46, -62, -6, 24), (14, -62, -14, 18), (-10, -52, -12, 14)),
        ),
        4,
    ),
    Tissue("gallbladder", 10, (Ellipsoid((-46, -52, -28), (18, 23, 26)),), 4, 0.1),
    Tissue(
        "duodenum",
        62,
        (((-24, -44, -14, 12), (-46, -22, -22, 13), (-46, -6, -58, 13), (-10, 4, -72, 12), (24, -4, -60, 11)),),
    ),
    Tissue(
        "pancreas",
        98,
        (((-24, -16, -44, 14), (-22, -20, -18, 17), (8, -22, -2, 12), (44, -6, 8, 13), (78, 16, 16, 11)),),
    ),
)
"""Painted one over the other, the lungs over them. The second shape of a kidney is its pelvis."""

ABOVE_DIAPHRAGM_AND_BEHIND = (
    Tissue("heart", 150, (Ellipsoid((22, -38, 116), (58, 44, 42)),), 4),
    Tissue("psoas muscles", 62, (((-36, 50, -8, 6), (-44, 48, -110, 22)), ((36, 50, -8, 6), (44, 48, -110, 22)))),
    Tissue("crura of the diaphragm", 60, (((-16, 24, 10, 6), (-12, 16, 60, 6)), ((20, 26, 10, 6), (20, 16, 60, 6)))),
    Tissue("back muscles", 58, (Ellipsoid((-36, 84, 0), (28, 18, 300)), Ellipsoid((36, 84, 0), (28, 18, 300)))),
    Tissue(
        "inferior vena cava", 148, (((-19, 20, -120, 13), (-21, 16, 0, 13), (-24, 6, 55, 14), (-22, -4, 82, 14)),), 2
    ),
    Tissue("aorta", 185, (((4, 18, -120, 10), (8, 16, 0, 11), (15, 24, 60, 12), (18, 28, 120, 13)),), 2),
    Tissue("esophagus", 52, (((4, 8, 120, 11), (8, 4, 84, 11), (26, 0, 62, 12), (36, 0, 58, 11)),), 2),
    Tissue("right adrenal gland", 72, (((-35, 26, 26, 6), (-38, 33, 6, 5)), ((-35, 26, 26, 6), (-46, 38, 8, 5))), 2),
    Tissue("left adrenal gland", 74, (((38, 22, 26, 6), (34, 33, 4, 5)), ((38, 22, 26, 6), (50, 34, 6, 5))), 2),
)
"""Painted over the lungs, one over the other."""
