"""The dense CRF draws boundaries where the image has them, in bounded memory, and leaves alone what it must."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import samtailor.refinement.dense_crf as module
from samtailor.errors import ConfigError
from samtailor.refinement.dense_crf import DenseCrf
from samtailor.refinement.domain import domains
from tests.refinement.scenes import Scene, Spacing, picture, scene_of, volume

pytestmark = pytest.mark.usefixtures("crf")


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_picture_gets_the_boundary_of_its_image(channels: int) -> None:
    scene = picture(channels)
    assert scene.dice(scene.label) < 0.83
    assert scene.dice(scene.refined(DenseCrf())) > 0.98


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (10.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_a_volume_gets_it_too_whatever_its_spacing(spacing: Spacing) -> None:
    scene = volume(spacing)
    assert scene.dice(scene.label) < 0.87
    assert scene.dice(scene.refined(DenseCrf())) > 0.95


def test_spacing_counts() -> None:
    scene = volume()
    step = DenseCrf(gaussian_width=1.0, bilateral_width=3.0, gaussian_weight=1.0, bilateral_weight=1.0)
    far = replace(scene, spacing=(10.0, 10.0, 10.0))  # where nothing is near anything else, nothing changes
    np.testing.assert_array_equal(far.refined(step), scene.label)
    assert (scene.refined(step) != scene.label).any()


def test_slices_of_pictures_know_nothing_of_each_other() -> None:
    one, other = picture(), scene_of(np.zeros((1, 48, 52), np.int16), np.zeros((1, 48, 52), np.int16), 2)
    both = Scene(
        *(
            np.concatenate([getattr(s, n) for s in (one, other)], axis=int(n == "probabilities"))
            for n in ("truth", "slices", "probabilities")
        )
    )
    found = both.refined(DenseCrf())
    np.testing.assert_array_equal(found[0], one.refined(DenseCrf())[0])
    assert not found[1].any()


def test_far_from_objects_nothing_changes() -> None:
    scene = picture()
    probabilities = scene.probabilities.copy()
    probabilities[1, 0, 45, 2] = 0.9  # beyond the margin, and not in the label
    label = scene.label
    found = DenseCrf(margin=5)(label, probabilities, scene.slices, None)
    assert found[0, 45, 2] == 0
    np.testing.assert_array_equal(found, DenseCrf(margin=5)(label, scene.probabilities, scene.slices, None))


def test_pieces_of_a_box_that_is_too_large_give_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, step = picture(3), DenseCrf(bilateral_width=3.0, gaussian_width=2.0)
    whole = scene.refined(step)
    sizes: list[int] = []
    original = DenseCrf._most_probable

    def noted(self: DenseCrf, domain: object, box: tuple[slice, ...]) -> np.ndarray:
        found = original(self, domain, box)  # type: ignore[arg-type]
        sizes.append(found.size)
        return found

    monkeypatch.setattr(DenseCrf, "_most_probable", noted)
    monkeypatch.setattr(module, "_BYTES", 400 << 10)
    pieces = scene.refined(step)
    assert len(sizes) > 3
    assert max(sizes) < 1000
    assert (whole != pieces).mean() < 0.005


def test_kernels_too_narrow_for_the_lattice_s_coordinates_are_worked_on_in_pieces() -> None:
    """Coordinates of 16 bits hold 3000 voxels as such, but not in tenths of a voxel."""
    label = np.zeros((1, 2, 3000), np.int16)
    label[0, :, 1500:] = 1
    scene = scene_of(label, label, 2, blur=0)
    narrow, wide = DenseCrf(gaussian_width=0.1, bilateral_width=0.1), DenseCrf()
    for step, fits in ((narrow, False), (wide, True)):
        ((_, domain),) = domains("crf", label, scene.probabilities, scene.slices, None)
        assert step._fits(domain, (slice(0, 2), slice(0, 3000))) == fits
    np.testing.assert_array_equal(scene.refined(narrow), label)


def test_classes_that_do_not_matter_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = picture()
    empty = np.zeros((300, *scene.probabilities.shape[1:]), np.float16)
    many = replace(scene, probabilities=np.concatenate([scene.probabilities, empty]))
    seen: list[int] = []
    import pydensecrf.densecrf as densecrf

    original = densecrf.DenseCRF

    def noted(voxels: int, classes: int) -> object:
        seen.append(classes)
        return original(voxels, classes)

    monkeypatch.setattr(densecrf, "DenseCRF", noted)
    np.testing.assert_array_equal(many.refined(DenseCrf()), scene.refined(DenseCrf()))
    assert set(seen) == {2}


def test_many_classes_that_matter_are_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.arange(16 * 16).reshape(1, 16, 16).astype(np.int16) % 120
    probabilities = np.full((120, 1, 16, 16), 0.001, np.float16)
    np.put_along_axis(probabilities, label[None].astype(np.int64), np.float16(0.88), axis=0)
    monkeypatch.setattr(module, "_BYTES", 50 << 10)
    found = DenseCrf(gaussian_weight=0, bilateral_weight=0)(
        label, probabilities, np.zeros((1, 1, 16, 16), np.float16), None
    )
    np.testing.assert_array_equal(found, label)


def test_what_an_earlier_step_took_away_stays_away() -> None:
    scene = picture()
    label = np.where(scene.label == 1, np.int16(0), scene.label)
    label[0, 20:24, 20:24] = 1  # only a part was kept
    found = DenseCrf(bilateral_weight=0, gaussian_weight=0)(label, scene.probabilities, scene.slices, None)
    np.testing.assert_array_equal(found, label)


def test_a_class_may_vanish_and_one_at_the_border_or_of_one_pixel_works() -> None:
    truth = np.zeros((1, 20, 20), np.int16)
    speck = truth.copy()
    speck[0, 10, 10] = 1
    assert not scene_of(truth, speck, 2, blur=0).refined(DenseCrf(gaussian_weight=30)).any()
    corner = truth.copy()
    corner[0, :6, 15:] = 1
    scene = scene_of(corner, corner, 2, blur=0)
    np.testing.assert_array_equal(scene.refined(DenseCrf(gaussian_weight=0.1)), corner)


@pytest.mark.parametrize("fill", [0, 1])
def test_one_class_all_over_stays(fill: int) -> None:
    truth = np.full((1, 12, 12), fill, np.int16)
    np.testing.assert_array_equal(scene_of(truth, truth, 2).refined(DenseCrf()), truth)


def test_the_label_that_was_given_stays_as_it_is() -> None:
    scene = picture()
    label = scene.label
    found = DenseCrf()(label, scene.probabilities, scene.slices, None)
    np.testing.assert_array_equal(label, scene.label)
    assert found.dtype == np.int16


def test_without_the_extra_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(ConfigError, match=r"needs.*pip install 'samtailor\[crf\]'"):
        DenseCrf().require_ready()


def test_without_probabilities_it_is_refused() -> None:
    scene = picture()
    with pytest.raises(ConfigError, match="expected class probabilities for crf, found none"):
        DenseCrf()(scene.label, None, scene.slices, None)
