"""Heat maps show each class where it is probable, in the slice where it is most so, on one scale."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure

from samtailor.reporting.heat_map import HeatMap, heat_map_figure, heat_maps
from tests.reporting.drawn import pixels

NAMES = ("background", "liver", "spleen")


def probabilities() -> np.ndarray:
    """(K, S, H, W): the liver is most probable in slice 2, the spleen in slice 0."""
    softmax = np.zeros((3, 4, 20, 30), np.float16)
    softmax[1, 1, 5, 5] = 1.0
    softmax[1, 2, :10] = 0.4
    softmax[2, 0, 10:, 15:] = 1.0
    softmax[0] = 1 - softmax[1] - softmax[2]
    return softmax


def test_each_class_but_the_first_is_shown_in_its_own_slice() -> None:
    image = np.arange(4.0)[:, None, None, None] / 10 * np.ones((4, 2, 20, 30))
    liver, spleen = heat_maps(image, probabilities(), NAMES, (5.0, 2.0, 2.0))
    assert (liver.name, spleen.name) == ("liver, slice 3 of 4", "spleen, slice 1 of 4")
    assert liver.image.shape == (1, 20, 30)
    assert (liver.image == 0.2).all()
    np.testing.assert_array_equal(liver.probability, probabilities()[1, 2])
    np.testing.assert_array_equal(spleen.probability, probabilities()[2, 0])


def test_pictures_have_their_colours_and_no_slices() -> None:
    softmax = probabilities()[:, :1]
    liver, _ = heat_maps(np.ones((1, 4, 20, 30)), softmax, NAMES, None)
    assert (liver.name, liver.image.shape) == ("liver", (3, 20, 30))


def colour_at(figure: Figure, panel: int, x: float, y: float) -> np.ndarray:
    """Colour drawn at a place (column, row) of a panel's image, in 0..255."""
    drawn = pixels(figure)
    scale = drawn.shape[1] / figure.bbox.width
    column, row = figure.axes[panel].transData.transform((x, y)) * scale
    return drawn[round(drawn.shape[0] - row), round(column)].astype(float)


def test_what_is_probable_has_the_colour_of_the_scale_and_the_image_is_seen_elsewhere() -> None:
    half = np.zeros((1, 20, 30))
    maps = [HeatMap("liver", half + 0.5, probabilities()[2, 0]), HeatMap("spleen", half, probabilities()[1, 2])]
    figure = heat_map_figure(maps, "case")
    certain = 0.8 * 255 * np.array(colormaps["inferno"](1.0)[:3]) + 0.2 * 127.5
    np.testing.assert_allclose(colour_at(figure, 0, 22, 15), certain, atol=3)
    np.testing.assert_allclose(colour_at(figure, 0, 5, 5), 127.5, atol=2)
    unsure = 0.8 * 0.8 * 255 * np.array(colormaps["inferno"](0.4)[:3])
    np.testing.assert_allclose(colour_at(figure, 1, 15, 5), unsure, atol=3)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["liver", "spleen"]


@pytest.mark.parametrize("size", [(20, 30), (8, 1000), (1000, 8)])
@pytest.mark.parametrize("classes", [1, 3, 13])
def test_any_number_of_classes_fits(classes: int, size: tuple[int, int]) -> None:
    one = HeatMap("a class", np.zeros((1, *size)), np.zeros(size))
    figure = heat_map_figure([one] * classes, "case", aspect=2.0)
    assert sum(bool(axes.get_title()) for axes in figure.axes) == classes
    assert pixels(figure).shape[1] > 300
