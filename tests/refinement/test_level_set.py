"""Level sets move outlines to the edges of the image, no farther than they may, whatever the grid."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import pytest
from scipy import ndimage

import samtailor.refinement.level_set as module
from samtailor.errors import ConfigError
from samtailor.refinement.level_set import LevelSet
from samtailor.settings import hints_of
from tests.refinement.scenes import Spacing, disc, picture, scene_of, volume

Method = Literal["geodesic", "chan-vese", "itk-geodesic"]
METHODS = get_args(Method)

every_method = pytest.mark.parametrize("method", METHODS)


def test_these_are_all_methods() -> None:
    assert get_args(hints_of(LevelSet)["method"]) == METHODS


@every_method
@pytest.mark.parametrize("channels", [1, 4])
def test_a_picture_gets_the_outline_of_its_image(method: Method, channels: int) -> None:
    scene = picture(channels)
    assert scene.dice(scene.label) < 0.83
    assert scene.dice(scene.refined(LevelSet(method, iterations=50, edge_width=2))) > 0.95


@every_method
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (10.0, 1.0, 1.0), (1.0, 2.0, 0.8)])
def test_a_volume_gets_it_too_whatever_its_spacing(method: Method, spacing: Spacing) -> None:
    scene = volume(spacing)
    assert scene.dice(scene.label) < 0.87
    assert scene.dice(scene.refined(LevelSet(method, iterations=50))) > 0.9


@every_method
@pytest.mark.parametrize("band", [0.0, 1.0, 2.0])
def test_outlines_move_within_their_band(method: Method, band: float) -> None:
    scene = picture()
    inside, found = scene.label[0] == 1, scene.refined(LevelSet(method, 50, band=band))[0] == 1
    distance = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside)
    assert distance[inside != found].max(initial=0) <= band
    assert (inside != found).any() == (band > 0)


def test_the_band_is_in_mm() -> None:
    scene = volume((1.0, 2.0, 2.0))
    inside, found = scene.label == 1, scene.refined(LevelSet("chan-vese", band=2.0)) == 1
    assert (inside != found).any()
    distance = ndimage.distance_transform_edt(inside, scene.spacing) + ndimage.distance_transform_edt(
        ~inside, scene.spacing
    )
    assert distance[inside != found].max() == 2
    scaled = replace(scene, spacing=(10.0, 20.0, 20.0))
    np.testing.assert_array_equal(scaled.refined(LevelSet("chan-vese", band=2.0)), scene.label)


def test_chan_vese_does_not_turn_inside_out() -> None:
    """Also where the label is a ring of what is around the object: its inside looks like the outside."""
    truth = disc((40, 40), (20, 20), 9, (1, 1))[None].astype(np.int16)
    around = disc((40, 40), (20, 20), 12, (1, 1))[None] & (truth == 0)
    for predicted in (around, truth == 1):
        scene = scene_of(truth, predicted.astype(np.int16), 2, blur=0)
        for slices in (scene.slices, 1 - scene.slices):  # bright on dark, and dark on bright
            found = replace(scene, slices=slices).refined(LevelSet("chan-vese", 100, band=30)) == 1
            assert found[scene.label == 1].mean() > 0.9
            assert found[scene.label == 0].mean() < 0.9


def test_growth_goes_outwards_and_inwards_where_there_is_no_edge() -> None:
    flat = replace(picture(), slices=np.full((1, 1, 48, 52), 0.5, np.float16))
    methods: tuple[Method, ...] = ("geodesic", "itk-geodesic")
    for method in methods:
        sizes = [(flat.refined(LevelSet(method, 5, growth=growth)) == 1).sum() for growth in (-1.0, 0.0, 1.0)]
        assert sizes[0] < sizes[1] - 50 < sizes[2] - 100


@every_method
def test_what_two_classes_claim_is_the_more_probable_one_s(method: Method) -> None:
    truth = np.zeros((1, 40, 40), np.int16)
    truth[0, 8:32, 6:20], truth[0, 8:32, 20:34] = 1, 2
    predicted = np.zeros_like(truth)
    predicted[0, 8:32, 6:17], predicted[0, 8:32, 17:34] = 1, 2
    scene = scene_of(truth, predicted, 3, blur=1.5)
    found = scene.refined(LevelSet(method, 50))
    assert scene.dice(found, 1) > scene.dice(scene.label, 1)
    assert scene.dice(found, 2) > scene.dice(scene.label, 2)
    assert (found[0, 12:28, 10:30] > 0).all()  # no gap between them


def test_classes_that_grow_do_not_take_each_other_s_voxels() -> None:
    label = np.zeros((1, 30, 30), np.int16)
    label[0, 8:22, 6:15], label[0, 8:22, 15:24] = 1, 2
    scene = replace(scene_of(label, label, 3), slices=np.full((1, 1, 30, 30), 0.5, np.float16))
    found = LevelSet("geodesic", 5, growth=1.0)(label, scene.probabilities, scene.slices, None)
    assert (found > 0).sum() > (label > 0).sum()
    np.testing.assert_array_equal(found[label > 0], label[label > 0])


def test_what_nobody_claims_is_the_next_class() -> None:
    """A class that its outline leaves goes to the second of the softmax, not to the background alone."""
    truth = np.zeros((1, 30, 30), np.int16)
    predicted = disc((30, 30), (15, 15), 9, (1, 1))[None].astype(np.int16)
    scene = scene_of(truth, predicted, 3)
    probabilities = np.stack([np.full_like(scene.probabilities[0], 0.1), *scene.probabilities[1:]])
    probabilities[2] = 0.2
    found = LevelSet("geodesic", 3, growth=-1.0)(predicted, probabilities, scene.slices, None)
    left = (predicted == 1) & (found != 1)
    assert left.any()
    assert (found[left] == 2).all()
    assert (found[predicted == 0] == 0).all()


@every_method
def test_an_object_of_one_pixel_stays_and_one_at_the_border_works(method: Method) -> None:
    truth = np.zeros((1, 24, 24), np.int16)
    truth[0, 12, 12] = 1
    truth[0, :8, 16:] = 2
    scene = scene_of(truth, truth, 3, blur=0)
    found = scene.refined(LevelSet(method))
    assert (found == 1).sum() >= 1
    assert scene.dice(found, 2) > 0.9


@every_method
@pytest.mark.parametrize(
    ("shape", "thickness"),
    [((1, 1, 9), 5), ((1, 9, 9), 5), ((3, 1, 9), 5), ((2, 9, 9), 5), ((3, 1, 9), 1), ((3, 9, 9), 1), ((2, 3, 9), 1)],
)
def test_thin_volumes_work(method: Method, shape: tuple[int, int, int], thickness: float) -> None:
    truth = np.zeros(shape, np.int16)
    truth[..., 3:6] = 1
    scene = scene_of(truth, truth, 2, spacing=(thickness, 1.0, 1.0), blur=0)
    assert scene.dice(scene.refined(LevelSet(method))) > 0.6


@every_method
def test_objects_that_reach_the_borders_are_not_worn_away(method: Method) -> None:
    truth = np.zeros((6, 24, 24), np.int16)
    truth[:, 6:18, :12] = 1
    scene = scene_of(truth, truth, 2, spacing=(1.0, 1.0, 1.0), blur=0)
    assert scene.dice(scene.refined(LevelSet(method))) > 0.97


@every_method
@pytest.mark.parametrize("fill", [0, 1])
def test_one_class_all_over_stays(method: Method, fill: int) -> None:
    truth = np.full((1, 12, 12), fill, np.int16)
    np.testing.assert_array_equal(scene_of(truth, truth, 2).refined(LevelSet(method)), truth)


def test_pieces_of_a_box_that_is_too_large_give_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, step = picture(), LevelSet("geodesic", band=3)
    whole = scene.refined(step)
    monkeypatch.setattr(module, "_BYTES", 80 << 10)
    assert (whole != scene.refined(step)).mean() < 0.005


def test_many_classes_work() -> None:
    label = (np.arange(24 * 24).reshape(1, 24, 24) // 4 % 130).astype(np.int16)
    scene = scene_of(label, label, 130, blur=0)
    assert scene.refined(LevelSet()).shape == label.shape


def test_the_label_that_was_given_stays_as_it_is() -> None:
    scene = picture()
    label = scene.label
    found = LevelSet()(label, scene.probabilities, scene.slices, None)
    np.testing.assert_array_equal(label, scene.label)
    assert found.dtype == np.int16


def test_without_the_extra_only_itk_s_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    LevelSet().require_ready()
    with pytest.raises(ConfigError, match=r"itk-geodesic.*pip install 'samtailor\[level-set\]'"):
        LevelSet("itk-geodesic").require_ready()


def test_without_probabilities_it_is_refused() -> None:
    scene = picture()
    with pytest.raises(ConfigError, match="expected class probabilities for level-set, found none"):
        LevelSet()(scene.label, None, scene.slices, None)
