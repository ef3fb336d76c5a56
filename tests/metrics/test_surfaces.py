"""Surfaces give the numbers of surface-distance and medpy, and the search tree those of the distance transform."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from monai.metrics import utils

from samtailor.metrics import surfaces as module
from samtailor.metrics.surfaces import surface_dice, surface_hd95, surfaces, voxel_hd95
from tests.metrics.blobs import blobs

# Seed and shape of the blobs, spacing; then, by the packages surface-distance 0.1 and medpy 0.5.2: NSD at 1 and 2 mm,
# robust Hausdorff distance, hd95 without spacing.
REFERENCES = [
    (0, (24, 20, 16), (0.8, 0.8, 2.5), 0.8041475103519764, 0.8804623562358782, 5.546169849544819, 4.123105625617661),
    (1, (18, 22, 14), (1.0, 1.0, 1.0), 0.8723584564340107, 0.9526659182156008, 2.23606797749979, 2.23606797749979),
    (2, (16, 16, 20), (1.5, 0.7421875, 5.0), 0.8212967329827029, 0.9380956954207588, 2.2265625, 2.0),
    (3, (40, 48), (1.0, 1.0), 0.813189105738503, 0.9048906896966374, 5.656854249492381, 5.370857542457414),
    (4, (30, 50), (0.5, 2.0), 0.8551452951244938, 0.9400259058840442, 3.5, 2.0),
]


@pytest.mark.parametrize(("seed", "shape", "spacing", "nsd_1", "nsd_2", "hd95", "voxels"), REFERENCES)
def test_numbers_are_those_of_the_packages(
    seed: int,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    nsd_1: float,
    nsd_2: float,
    hd95: float,
    voxels: float,
) -> None:
    truth, prediction = blobs(seed, shape)
    found = surfaces(truth, prediction, spacing)
    assert surface_dice(found, 1.0) == pytest.approx(nsd_1, abs=1e-12)
    assert surface_dice(found, 2.0) == pytest.approx(nsd_2, abs=1e-12)
    assert surface_hd95(found) == pytest.approx(hd95, abs=1e-12)
    assert voxel_hd95(truth, prediction, (1.0,) * len(shape)) == pytest.approx(voxels, abs=1e-12)


@pytest.mark.skipif(importlib.util.find_spec("surface_distance") is None, reason="needs the package surface-distance")
@pytest.mark.parametrize("seed", range(20))
def test_numbers_are_those_of_the_package_itself(seed: int) -> None:
    import surface_distance

    rng = np.random.default_rng(seed)
    truth, prediction = blobs(seed, tuple(rng.integers(8, 24, 3)))
    spacing = tuple(rng.uniform(0.5, 5, 3))
    theirs = surface_distance.compute_surface_distances(truth, prediction, spacing)
    ours = surfaces(truth, prediction, spacing)
    for tolerance in (1, 2, 5):
        reference = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert surface_dice(ours, tolerance) == pytest.approx(reference, abs=1e-12)


def test_a_cube_has_the_area_of_its_faces_and_cut_edges() -> None:
    mask = np.zeros((9, 9, 9), np.bool_)
    mask[2:7, 2:7, 2:7] = True
    # Each face has 4 x 4 whole elements, each of 12 edges 4 cut elements of area sqrt(2) / 2, each of 8 corners a
    # triangle of area sqrt(3) / 8.
    areas = surfaces(mask, mask, (1.0, 1.0, 1.0))[0].areas
    assert areas.sum() == pytest.approx(6 * 16 + 48 * math.sqrt(2) / 2 + 8 * math.sqrt(3) / 8)


def test_masks_at_the_edge_of_the_image_have_a_surface_there() -> None:
    mask = np.ones((4, 4, 4), np.bool_)
    found = surfaces(mask, mask, (1.0, 1.0, 1.0))
    assert surface_dice(found, 0.0) == 1
    assert surface_hd95(found) == 0


def test_the_search_tree_gives_what_the_distance_transform_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, prediction = blobs(7, (20, 24, 16))
    expected = surfaces(truth, prediction, (0.7, 0.7, 3.0))
    monkeypatch.setattr(module, "_LARGEST_TRANSFORM", 0)
    found = surfaces(truth, prediction, (0.7, 0.7, 3.0))
    np.testing.assert_allclose(found[0].distances, expected[0].distances, rtol=1e-12)
    np.testing.assert_allclose(found[1].distances, expected[1].distances, rtol=1e-12)


def test_without_monais_private_table_the_areas_have_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    spacing = (0.7, 0.8, 3.0)
    exact = module._areas(spacing)
    public = utils.get_code_to_measure_table(spacing)  # as a MONAI would give it that has renamed the private table
    monkeypatch.setattr(utils, "get_code_to_measure_table", lambda spacing: public)
    monkeypatch.delattr(utils, "_get_neighbour_code_to_normals_table")
    module._areas.cache_clear()
    found = module._areas(spacing)
    module._areas.cache_clear()
    np.testing.assert_allclose(found, exact, rtol=1e-6)
