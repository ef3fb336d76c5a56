"""Boxes cover objects with their margins and never overlap; pieces cover a box, whatever fits."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.errors import ConfigError
from samtailor.refinement.domain import Domain, boxes_around, domains, inside, pieces


def test_every_object_is_in_a_box_with_its_margin_and_boxes_that_touch_are_joined() -> None:
    mask = np.zeros((20, 40), np.bool_)
    mask[2, 3] = mask[10, 6] = mask[4, 30:33] = True
    assert boxes_around(mask, (2, 1)) == [
        (slice(0, 5), slice(2, 5)),
        (slice(2, 7), slice(29, 34)),
        (slice(8, 13), slice(5, 8)),
    ]
    assert boxes_around(mask, (4, 4)) == [(slice(0, 15), slice(0, 11)), (slice(0, 9), slice(26, 37))]
    assert boxes_around(np.zeros((3, 3), np.bool_), (1, 1)) == []


def test_objects_that_touch_at_a_corner_share_a_box_and_joined_boxes_join_others() -> None:
    assert boxes_around(np.eye(3, dtype=np.bool_), (0, 0)) == [(slice(0, 3), slice(0, 3))]
    mask = np.zeros((20, 20), np.bool_)
    mask[:10, 0] = mask[12, 2:13] = True  # with a margin of 2 their boxes make an L
    mask[4, 9] = True  # in the box around the L, but in neither of the two
    assert boxes_around(mask, (2, 2)) == [(slice(0, 15), slice(0, 15))]


@pytest.mark.parametrize("most", [1, 7, 40, 10_000])
@pytest.mark.parametrize("margin", [(0, 0), (2, 3), (50, 50)])
def test_pieces_cover_a_box_once_and_look_at_no_more_than_fits(most: int, margin: tuple[int, int]) -> None:
    box = (slice(3, 14), slice(5, 28))
    seen = np.zeros((20, 30), int)
    for core, outer in pieces(box, margin, lambda part: np.zeros((20, 30))[part].size <= most):
        seen[core] += 1
        part = np.zeros((20, 30), np.bool_)
        part[outer] = True
        assert part[core].all()  # with what is around it
        assert part[box].sum() == part.sum()  # nothing beyond the box
        single = np.zeros((20, 30))[core].size == 1
        assert part.sum() <= most or single
        whole = np.zeros(part[outer].shape, np.bool_)
        whole[inside(core, outer)] = True
        back = np.zeros_like(part)
        back[outer] = whole
        np.testing.assert_array_equal(
            np.nonzero(back),
            np.nonzero(
                np.pad(
                    np.ones(part[core].shape, bool),
                    [(side.start, length - side.stop) for side, length in zip(core, (20, 30), strict=True)],
                )
            ),
        )
    expected = np.zeros_like(seen)
    expected[box] = 1
    np.testing.assert_array_equal(seen, expected)


def test_a_volume_is_one_domain_and_pictures_are_one_each() -> None:
    label, probabilities = np.zeros((3, 4, 5), np.int16), np.zeros((2, 3, 4, 5), np.float16)
    slices = np.arange(3 * 2 * 4 * 5).reshape(3, 2, 4, 5).astype(np.float16)
    ((place, whole),) = domains("crf", label, probabilities, slices, (2.0, 1.0, 0.5))
    assert place is ...
    assert whole.voxels(3.0) == (2, 3, 6)
    box = (slice(1, 3), slice(0, 2), slice(1, 5))
    np.testing.assert_array_equal(whole.image(box), slices[1:3, :, 0:2, 1:5].swapaxes(0, 1))
    planes = list(domains("crf", label, probabilities, slices, None))
    assert [place for place, _ in planes] == [0, 1, 2]
    np.testing.assert_array_equal(planes[1][1].image(box[1:]), slices[1, :, 0:2, 1:5])
    assert planes[1][1].voxels(3.0) == (3, 3)


def test_without_probabilities_it_says_what_is_missing() -> None:
    label = np.zeros((1, 4, 5), np.int16)
    with pytest.raises(ConfigError, match="expected class probabilities for crf, found none"):
        list(domains("crf", label, None, np.zeros((1, 1, 4, 5), np.float16), None))


def test_classes_that_matter_are_labelled_or_probable_in_the_box() -> None:
    probabilities = np.zeros((5, 2, 2), np.float16)
    probabilities[0] = 0.9
    probabilities[2, 0, 0] = 0.06
    probabilities[3] = 0.01
    label = np.array([[0, 0], [0, 4]], np.int16)
    domain = Domain(label, probabilities, np.zeros((1, 1, 2, 2), np.float16), (1.0, 1.0))
    everywhere = (slice(0, 2), slice(0, 2))
    assert domain.classes(everywhere) == [0, 2, 4]
    assert domain.classes((slice(0, 1), slice(1, 2))) == [0]


def test_what_an_earlier_step_has_changed_is_likely_where_it_was_changed() -> None:
    probabilities = np.array([[0.1, 0.7], [0.6, 0.1], [0.3, 0.2]], np.float16)[:, None]
    label = np.array([[0, 0]], np.int16)  # the first pixel was of class 1, and has become background
    domain = Domain(label, probabilities, np.zeros((1, 1, 1, 2), np.float16), (1.0, 1.0))
    box = (slice(0, 1), slice(0, 2))
    found = domain.likelihoods(box, [0, 1, 2])[:, 0]
    np.testing.assert_array_equal(found, np.array([[0.6, 0.7], [0.1, 0.1], [0.3, 0.2]], np.float16))
    np.testing.assert_array_equal(domain.likelihoods(box, [0, 2])[:, 0], np.array([[0.3, 0.7], [0.1, 0.2]], np.float16))
