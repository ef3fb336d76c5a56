"""Overlays hold what they say, at the place where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.labels import IGNORE, LabelSpace
from samtailor.reporting.figures import png
from samtailor.reporting.overlay import (
    Box,
    Panel,
    gray_or_rgb,
    outlines,
    overlay_figure,
    overlay_row,
    paint,
    tiny_targets,
)
from samtailor.reporting.view import View
from tests.evaluation.examples import LABELS, volume
from tests.reporting.drawn import is_colour, pixels


def area(figure: Figure, panel: int, box: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Drawn pixels inside a box of image pixels of a panel."""
    drawn = pixels(figure)
    axes = figure.axes[panel]
    corners = [(box[1].start, box[0].start), (box[1].stop - 1, box[0].stop - 1)]
    scale = drawn.shape[1] / figure.bbox.width
    (x0, y0), (x1, y1) = axes.transData.transform(corners) * scale
    return drawn[round(drawn.shape[0] - y0) : round(drawn.shape[0] - y1), round(x0) : round(x1)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_classes_are_coloured_where_they_are_and_only_there() -> None:
    image, truth = volume()
    prediction = np.zeros_like(truth)
    prediction[2, 24:36, 5:19] = 2  # the spleen on the other side, no liver
    figure = overlay_figure(View.from_case(image * 0, prediction, truth), LABELS, "case")
    liver, spleen, mirrored = np.s_[6:19, 6:24], np.s_[25:35, 31:43], np.s_[25:35, 6:18]
    assert titles(figure) == ["image", "truth", "prediction"]
    for panel, box, index in ((1, liver, 1), (1, spleen, 2), (2, mirrored, 2)):
        expected = 0.4 * np.array(LABELS.palette[index])
        np.testing.assert_allclose(np.median(area(figure, panel, box), axis=(0, 1)), expected, atol=2)
    for panel, box in ((0, liver), (0, spleen), (1, mirrored), (2, liver), (2, spleen)):
        assert area(figure, panel, box).max() <= 1


def test_classes_have_outlines_in_their_full_colour() -> None:
    image, truth = volume()
    drawn = pixels(overlay_figure(View.from_case(image * 0, truth, truth), LABELS, "case"))
    above_legend = drawn[: int(0.8 * len(drawn))]
    assert is_colour(above_legend, 1).sum() > 100
    assert is_colour(above_legend, 2).sum() > 100


def test_the_legend_names_the_classes_present() -> None:
    image, truth = volume()
    truth[truth == 1] = 0
    assert legend(overlay_figure(View.from_case(image, truth, truth), LABELS, "case")) == ["spleen"]
    truth[2, :3] = IGNORE
    assert legend(overlay_figure(View.from_case(image, truth, truth), LABELS, "case")) == ["ignored", "spleen"]
    assert legend(overlay_figure(View.from_case(image, truth * 0), LABELS, "case")) == []


def test_the_title_names_the_slice_of_a_volume() -> None:
    image, truth = volume()
    assert overlay_figure(View.from_case(image, truth, truth), LABELS, "case 7, DSC 1").get_suptitle() == (
        "case 7, DSC 1, slice 3 of 4"
    )
    assert overlay_figure(View.from_case(image[2:3], truth[2:3]), LABELS, "tile 7").get_suptitle() == "tile 7"


@pytest.mark.parametrize("shape", [(1, 300, 60), (1, 40, 300)])
def test_titles_stay_inside_the_figure(shape: tuple[int, int, int]) -> None:
    """One of a baseline says that it is an upper bound."""
    image, label = np.zeros((1, *shape), np.float32), np.zeros(shape, np.int16)
    title = "case\n" + "An upper bound that uses the ground truth: of all masks, that with the highest Dice. " * 2
    figure = overlay_figure(View.from_case(image, label, label), LABELS, title)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y0 >= figure.axes[0].title.get_window_extent().y1


def test_without_truth_image_and_prediction_are_shown() -> None:
    image, truth = volume()
    assert titles(overlay_figure(View.from_case(image, truth), LABELS, "case")) == ["image", "prediction"]


def test_pixels_are_drawn_in_the_shape_of_the_spacing() -> None:
    image, truth = volume(shape=(4, 40, 60))
    figure = overlay_figure(View.from_case(image, truth, truth, (5.0, 3.0, 1.0)), LABELS, "case")
    png(figure)
    box = figure.axes[0].get_window_extent()
    assert abs(box.height / box.width - 40 * 3 / 60) < 0.02


@pytest.mark.parametrize("brightness", [0.0, 1.0])
def test_tiny_targets_are_magnified_and_framed_in_every_panel(brightness: float) -> None:
    truth = np.zeros((1, 256, 256), np.int16)
    truth[0, 40:43, 200:203] = 1
    prediction = np.zeros_like(truth)
    image = np.full((1, 1, 256, 256), brightness)
    figure = overlay_figure(View.from_case(image, prediction, truth), LABELS, "case")
    drawn = pixels(figure)
    third = drawn.shape[1] // 3
    counts = [is_colour(drawn[: int(0.9 * len(drawn)), i * third : (i + 1) * third], 1).sum() for i in range(3)]
    assert counts[1] > 100
    assert counts[0] == counts[2] == 0
    assert [len(axes.child_axes) for axes in figure.axes] == [1, 1, 1]
    for panel in range(3):
        assert np.ptp(area(figure, panel, (slice(0, 128), slice(128, 256)))) > 200


@pytest.mark.parametrize("shape", [(256, 256), (120, 256)])
@pytest.mark.parametrize("target", [(0.2, 0.8), (0.8, 0.2)], ids=["above right", "below left"])
def test_the_magnified_target_hides_no_other(target: tuple[float, float], shape: tuple[int, int]) -> None:
    truth = np.zeros((1, *shape), np.int16)
    y, x = (round(place * length) for place, length in zip(target, shape, strict=True))
    truth[0, y : y + 3, x : x + 3] = 1
    prediction = np.zeros_like(truth)
    alarm = prediction[0, ::-1, ::-1][y : y + 3, x : x + 3]  # at the opposite place
    alarm[:] = 1
    figure = overlay_figure(View.from_case(np.zeros((1, 1, *shape)), prediction, truth), LABELS, "case")
    for panel, plane in ((1, truth[0]), (2, prediction[0])):
        rows, columns = (slice(places.min(), places.max() + 1) for places in np.nonzero(plane))
        drawn = area(figure, panel, (rows, columns))
        np.testing.assert_allclose(np.median(drawn, axis=(0, 1)), 0.4 * np.array(LABELS.palette[1]), atol=2)


def test_150_classes_fit_in() -> None:
    labels = LabelSpace.from_names(tuple(f"a class with a long name {k}" for k in range(150)))
    label = np.arange(150, dtype=np.int16).repeat(64).reshape(1, 96, 100)
    figure = overlay_figure(View.from_case(np.zeros((1, 3, 96, 100)), label, label), labels, "case")
    assert len(legend(figure)) == 149
    assert len(png(figure)) > 1000


def test_a_row_takes_any_number_of_panels_in_the_same_colours() -> None:
    image, truth = volume()
    other = np.zeros_like(truth[2])
    other[24:36, 5:19] = 2
    panels = [Panel("image"), Panel("truth", truth[2]), Panel("SAM\nupper bound", other), Panel("LoRA", truth[2])]
    figure = overlay_row(image[2] * 0, panels, LABELS, "case")
    assert titles(figure) == ["image", "truth", "SAM\nupper bound", "LoRA"]
    assert legend(figure) == ["liver", "spleen"]
    spleen, mirrored = np.s_[25:35, 31:43], np.s_[25:35, 6:18]
    for panel, box in ((1, spleen), (2, mirrored), (3, spleen)):
        expected = 0.4 * np.array(LABELS.palette[2])
        np.testing.assert_allclose(np.median(area(figure, panel, box), axis=(0, 1)), expected, atol=2)
    assert area(figure, 2, spleen).max() <= 1


def test_classes_are_painted_and_the_background_is_not() -> None:
    picture = np.full((1, 3, 3), 0.5, np.float32)
    painted = paint(picture, np.array([[0, 1, IGNORE]], np.int16), LABELS, opacity=0.4)
    np.testing.assert_array_equal(painted[0, 0], picture[0, 0])
    np.testing.assert_allclose(painted[0, 1], 0.6 * 0.5 + 0.4 * np.array(LABELS.palette[1]) / 255, rtol=1e-6)
    np.testing.assert_allclose(painted[0, 2], 0.6 * 0.5 + 0.4 * 128 / 255, rtol=1e-6)


def test_three_channels_are_colours_and_others_gray() -> None:
    image = np.random.default_rng(0).random((3, 4, 5)).astype(np.float16)
    np.testing.assert_array_equal(gray_or_rgb(image), image.transpose(1, 2, 0))
    np.testing.assert_array_equal(gray_or_rgb(image[:2]), np.repeat(image[0][..., None], 3, axis=-1))


def test_the_outline_of_a_pixel_is_its_four_edges() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    edges = {tuple(map(tuple, line)) for line in outlines(mask).tolist()}
    top, bottom = ((2.5, 1.5), (3.5, 1.5)), ((2.5, 2.5), (3.5, 2.5))
    left, right = ((2.5, 1.5), (2.5, 2.5)), ((3.5, 1.5), (3.5, 2.5))
    assert edges == {top, bottom, left, right}


def test_the_outline_closes_at_the_border_of_the_picture() -> None:
    assert len(outlines(np.ones((2, 3), bool))) == 2 * (2 + 3)


def test_tiny_targets_are_boxed_the_largest_first() -> None:
    label = np.zeros((256, 256), np.int16)
    label[2, 3] = 1
    label[100:104, 200:203] = 1
    assert tiny_targets(label) == [Box(92, 191, 20), Box(0, 0, 20)]


def test_large_targets_and_none_are_not_boxed() -> None:
    label = np.zeros((64, 64), np.int16)
    assert tiny_targets(label) == []
    label[10:20, 10:20] = 1
    assert tiny_targets(label) == []


def test_a_box_stays_inside_a_picture_smaller_than_it() -> None:
    label = np.zeros((16, 300), np.int16)
    label[8, 299] = 1
    assert tiny_targets(label) == [Box(0, 284, 16)]
