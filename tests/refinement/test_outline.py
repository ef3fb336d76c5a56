"""Objects of the first pass are prompted for along their outlines, and what SAM draws is joined with the first pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samtailor.errors import ConfigError
from samtailor.models.class_aware import ClassAwareSam, Features, Prompts
from samtailor.models.zoo import Base, load_base
from samtailor.refinement import chosen_refinement
from samtailor.refinement.largest_component import LargestComponent
from samtailor.refinement.outline import Outline
from samtailor.refinement.outline_prompts import MASK_LOGIT, Object, drawn_again, object_of, parts_by_size
from samtailor.refinement.regions import label_by_regions

SIZE = 64


def disc(y: int, x: int, radius: int) -> NDArray[np.int64]:
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.int64)


def is_on(label: NDArray[np.int64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y = np.round(places).astype(int).T
    return label[y, x] > 0


def objects_of(label: NDArray[np.int64], outline: Outline, scale: float = 1.0) -> list[Object]:
    return [object_of(*part, label.shape, outline, scale) for part in parts_by_size(label, outline.smallest)]


class TestObjects:
    def test_points_lie_at_equal_distances_along_the_outline_on_both_sides_of_it(self) -> None:
        label = disc(30, 28, 15)
        (one,) = objects_of(label, Outline(points=12, push=3.0))
        for places, radius in ((one.inside, 15.5 - 3), (one.outside, 15.5 + 3)):
            assert np.linalg.norm(places - [28, 30], axis=1) == pytest.approx(np.full(12, radius), abs=0.8)
            angles = np.unwrap(np.arctan2(*(places - [28, 30]).T))
            assert np.abs(np.diff(angles)) == pytest.approx(np.full(11, 2 * np.pi / 12), abs=0.12)
        assert is_on(label, one.inside).all()
        assert not is_on(label, one.outside).any()

    def test_the_push_is_in_pixels_of_the_network_s_input(self) -> None:
        (one,) = objects_of(disc(30, 30, 15), Outline(push=8.0), scale=4.0)
        assert np.linalg.norm(one.outside - [30, 30], axis=1) == pytest.approx(np.full(8, 17.5), abs=0.8)

    def test_each_connected_part_of_each_class_is_one_object_the_largest_first(self) -> None:
        label = 2 * disc(15, 15, 6) + 2 * disc(45, 45, 9) + disc(15, 45, 7)
        found = objects_of(label, Outline())
        assert [one.class_id for one in found] == [2, 1, 2]
        assert [one.place for one in found] == [(36, 36, 55, 55), (38, 8, 53, 23), (9, 9, 22, 22)]
        for one in found:
            left, top, right, bottom = one.place
            assert np.array_equal(one.pixels, label[top:bottom, left:right] > 0)

    def test_a_thin_object_has_its_points_on_it(self) -> None:
        label = np.zeros((SIZE, SIZE), np.int64)
        label[30:32, 5:60] = 1
        (one,) = objects_of(label, Outline(points=16, push=5.0))
        assert is_on(label, one.inside).all()
        assert not is_on(label, one.outside).any()

    def test_an_object_of_one_pixel_has_points_and_a_box(self) -> None:
        label = np.zeros((SIZE, SIZE), np.int64)
        label[20, 40] = 1
        (one,) = objects_of(label, Outline(smallest=1))
        assert one.box == (39, 19, 42, 22)
        assert is_on(label, one.inside).all()
        assert not is_on(label, one.outside).any()
        assert objects_of(label, Outline(smallest=2)) == []

    def test_nothing_lies_beyond_the_border(self) -> None:
        label = np.ones((SIZE, SIZE), np.int64)
        (one,) = objects_of(label, Outline(points=8))
        assert one.box == (0, 0, SIZE, SIZE)
        assert np.isnan(one.outside).all()
        corner = np.zeros((SIZE, SIZE), np.int64)
        corner[-4:, -4:] = 1
        (one,) = objects_of(corner, Outline(points=8, margin=0.5))
        assert one.box == (SIZE - 6, SIZE - 6, SIZE, SIZE)
        there = one.outside[~np.isnan(one.outside[:, 0])]
        assert 0 < len(there) < 8
        assert ((there > -0.5) & (there < SIZE - 0.5)).all()

    def test_the_box_reaches_over_the_object_by_its_margin_at_least_one_pixel(self) -> None:
        label = np.zeros((SIZE, SIZE), np.int64)
        label[20:40, 30:35] = 1
        boxes = [objects_of(label, Outline(margin=margin))[0].box for margin in (0.0, 0.25)]
        assert boxes == [(29, 19, 36, 41), (25, 15, 40, 45)]


class Drawn:
    """A network that answers every prompt with the same mask, and remembers the prompts."""

    stride = 4

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.prompts: list[Prompts] = []

    def decode_prompted(self, features: Features, prompts: Prompts) -> torch.Tensor:
        self.prompts.append(prompts)
        return self.mask.expand(len(features[0]), -1, -1)


def drawn(scores: torch.Tensor, label: NDArray[np.int64], mask: torch.Tensor, outline: Outline) -> tuple[Any, Drawn]:
    network = Drawn(mask)
    features = (torch.zeros(1, 8, SIZE // 4, SIZE // 4),)
    result = drawn_again(network, features, scores[None], [objects_of(label, outline)], outline)  # type: ignore[arg-type]
    return result[0], network


def odds(scores: torch.Tensor) -> torch.Tensor:
    probabilities = scores.double().softmax(dim=0)
    return (probabilities / (1 - probabilities)).log()


class TestJoining:
    @pytest.mark.parametrize("weight", [0.25, 1.0])
    def test_log_odds_move_to_those_of_the_mask_in_the_box_alone(self, weight: float) -> None:
        torch.manual_seed(0)
        scores, mask = torch.randn(4, SIZE, SIZE), torch.randn(SIZE, SIZE)
        label = 2 * disc(30, 30, 8)
        outline = Outline(weight=weight, margin=0.2)
        joined, _ = drawn(scores, label, mask, outline)
        left, top, right, bottom = objects_of(label, outline)[0].box
        inside = np.s_[top:bottom, left:right]
        wanted = (1 - weight) * odds(scores)[2][inside] + weight * mask[inside].double()
        assert odds(joined)[2][inside].numpy() == pytest.approx(wanted.numpy(), abs=1e-4)
        others = [0, 1, 3]
        assert torch.equal(joined[others], scores[others])
        beyond = torch.ones(SIZE, SIZE, dtype=torch.bool)
        beyond[inside] = False
        assert torch.equal(joined[:, beyond], scores[:, beyond])

    def test_where_boxes_of_a_class_overlap_the_most_certain_mask_counts(self) -> None:
        scores = torch.zeros(2, SIZE, SIZE)
        label = disc(30, 20, 6) + disc(30, 34, 6)
        outline = Outline(weight=1.0, margin=0.3)

        class Twice(Drawn):
            def decode_prompted(self, features: Features, prompts: Prompts) -> torch.Tensor:
                return torch.stack([self.mask, -self.mask])

        network = Twice(torch.full((SIZE, SIZE), 3.0))
        features = (torch.zeros(1, 8, SIZE // 4, SIZE // 4),)
        first, second = objects_of(label, outline)
        joined = drawn_again(network, features, scores[None], [[first, second]], outline)[0, 1]  # type: ignore[arg-type]
        assert joined[30, 27].item() == pytest.approx(3)  # in both boxes
        alone = (second.box[0] + second.box[2]) // 2
        assert joined[30, alone].item() == pytest.approx(-3)

    def test_no_share_and_no_object_leave_the_first_pass_as_it_is(self) -> None:
        scores, mask = torch.randn(3, SIZE, SIZE), torch.randn(SIZE, SIZE)
        assert torch.equal(drawn(scores, disc(30, 30, 8), mask, Outline(weight=0.0))[0], scores)
        joined, network = drawn(scores, 0 * disc(30, 30, 8), mask, Outline())
        assert torch.equal(joined, scores)
        assert network.prompts == []

    def test_prompts_hold_the_parts_that_are_wanted_in_pixels_of_the_input(self) -> None:
        scores = torch.randn(3, SIZE // 2, SIZE // 2)  # a map of half the input's side, as SAM's is of a quarter
        label = disc(30, 30, 8)[::2, ::2]
        outline = Outline(points=4, mask=False)
        ((one,)) = objects_of(label, outline)
        _, network = drawn(scores, label, torch.zeros(SIZE // 2, SIZE // 2), outline)
        (prompts,) = network.prompts
        assert prompts.masks is None
        assert prompts.points is not None
        assert prompts.labels is not None
        assert prompts.boxes is not None
        assert prompts.labels.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
        assert prompts.points[0, :4].numpy() == pytest.approx((one.inside + 0.5) * 2 - 0.5)
        assert prompts.boxes[0].tolist() == [2 * side for side in one.box]
        _, network = drawn(
            scores, label, torch.zeros(SIZE // 2, SIZE // 2), replace(outline, points=0, box=False, mask=True)
        )
        (prompts,) = network.prompts
        assert (prompts.points, prompts.labels, prompts.boxes) == (None, None, None)

    def test_points_beyond_the_border_are_none(self) -> None:
        scores = torch.randn(3, SIZE, SIZE)
        label = np.ones((SIZE, SIZE), np.int64)
        label[:, 40:] = 0
        _, network = drawn(scores, label, torch.zeros(SIZE, SIZE), Outline(points=8))
        (prompts,) = network.prompts
        assert prompts.labels is not None
        assert prompts.labels[0, :8].tolist() == [1] * 8
        assert set(prompts.labels[0, 8:].tolist()) == {0, -1}

    def test_each_object_is_drawn_on_its_own_image(self) -> None:
        class Seeing(Drawn):
            def decode_prompted(self, features: Features, prompts: Prompts) -> torch.Tensor:
                return features[0].mean(dim=(1, 2, 3))[:, None, None].expand(-1, SIZE, SIZE)

        features = (torch.stack([torch.full((8, SIZE // 4, SIZE // 4), value) for value in (-5.0, 5.0)]),)
        outline = Outline(weight=1.0)
        objects = [objects_of(disc(30, 30, 8), outline), objects_of(disc(20, 30, 8) + disc(50, 30, 5), outline)]
        scores = torch.zeros(2, 2, SIZE, SIZE)
        joined = drawn_again(Seeing(torch.empty(0)), features, scores, objects, outline)  # type: ignore[arg-type]
        assert [joined[0, 1, 30, 30].item(), joined[1, 1, 20, 30].item(), joined[1, 1, 50, 30].item()] == [-5, 5, 5]

    def test_the_rough_mask_is_as_certain_as_the_first_pass(self) -> None:
        scores = torch.zeros(2, SIZE, SIZE)
        label = disc(30, 20, 6) + disc(30, 50, 5)
        scores[1] = torch.from_numpy(np.where(label, 4.0, -30.0))
        _, network = drawn(scores, label, torch.zeros(SIZE, SIZE), Outline(points=0, box=False, mask=True))
        assert network.prompts[0].masks is not None
        first = network.prompts[0].masks[0]
        assert first[30, 20].item() == pytest.approx(4.0)
        assert first[30, 50].item() == pytest.approx(-4.0)  # the other object of the class
        assert first[5, 5].item() == -MASK_LOGIT


def test_all_families_draw_a_batch_as_they_draw_its_images(any_base: Base) -> None:
    torch.manual_seed(0)
    network = ClassAwareSam(load_base(any_base.name), 3).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        features = network.encode(images)
        logits = network.decode(features)
        logits[:, 1, 2:6, 3:9] += 50
        logits[1, 2, 8:12, 3:9] += 50
        both = Outline()(network, features, logits, images)
        for index in range(2):
            one = slice(index, index + 1)
            alone = Outline()(network, tuple(f[one] for f in features), logits[one], images[one])
            assert both[one].numpy() == pytest.approx(alone.numpy(), abs=1e-4)
    assert not torch.equal(both, logits)


def test_only_the_largest_objects_are_drawn_again() -> None:
    network = Drawn(torch.zeros(SIZE, SIZE))
    scores = torch.from_numpy(np.stack([np.zeros((SIZE, SIZE)), disc(30, 20, 6) + disc(30, 50, 9) - 0.5]))[None]
    features = (torch.zeros(1, 8, SIZE // 4, SIZE // 4),)
    Outline(most=1)(network, features, scores.float(), torch.zeros(1, 3, SIZE, SIZE))  # type: ignore[arg-type]
    (prompts,) = network.prompts
    assert prompts.boxes is not None
    assert prompts.boxes.tolist() == [[39, 19, 62, 42]]


@pytest.mark.parametrize("how", ["threshold", "watershed", "slic"])
def test_regions_of_the_image_take_the_class_most_probable_in_them(how: Any) -> None:
    image = torch.full((3, SIZE, SIZE), 0.2)
    image[:, :, SIZE // 2 :] = 0.8
    scores = torch.zeros(3, SIZE, SIZE)
    scores[1, :, : SIZE // 2 + 2] = 1.0  # a first pass that runs over the edge
    scores[2, :, SIZE // 2 + 2 :] = 3.0
    label = label_by_regions(image, scores, how)
    assert label.shape == (SIZE, SIZE)
    assert (label[:, SIZE // 2 + 1 :] == 2).mean() > 0.95
    assert (label[:, : SIZE // 2 - 1] == 1).mean() > 0.95


@pytest.mark.parametrize("rounding", [0.0, 6e-8])
@pytest.mark.parametrize("how", ["threshold", "watershed", "slic"])
def test_an_image_without_edges_has_regions_too(how: Any, rounding: float) -> None:
    torch.manual_seed(0)
    scores = torch.zeros(2, 32, 32)
    scores[1] = 1.0
    if how != "slic":  # all is one region
        scores[0, :4] = 2.0
    image = 0.9 + rounding * torch.randint(0, 3, (1, 32, 32))
    assert (label_by_regions(image, scores, how) == 1).all()


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected points, box or mask in the prompts"):
        Outline(points=0, box=False, mask=False)


def test_the_second_pass_comes_before_what_changes_the_label() -> None:
    assert chosen_refinement("outline,largest-component") == (Outline(), LargestComponent())
    with pytest.raises(ConfigError, match="found outline after largest-component"):
        chosen_refinement("largest-component,outline")
