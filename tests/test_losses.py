import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from samtailor.labels import IGNORE
from samtailor.losses import ClassAwareLoss


def logits_of(target: torch.Tensor, classes: int, confidence: float = 50.0) -> torch.Tensor:
    """Logits that say exactly the target."""
    return confidence * F.one_hot(target, classes).permute(0, 3, 1, 2).float()


@pytest.fixture
def target() -> torch.Tensor:
    target = torch.zeros(2, 8, 8, dtype=torch.long)
    target[0, :4] = 1
    target[1, 2:4, 2:4] = 2
    return target


@pytest.mark.parametrize("batch_dice", [True, False])
def test_a_perfect_prediction_costs_nothing(target: torch.Tensor, batch_dice: bool) -> None:
    assert ClassAwareLoss(batch_dice=batch_dice)(logits_of(target, 3), target) < 1e-4


def test_it_is_the_weighted_sum_of_its_terms(target: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both = ClassAwareLoss(0.3, 0.7)(logits, target)
    cross_entropy, dice = ClassAwareLoss(1, 0)(logits, target), ClassAwareLoss(0, 1)(logits, target)
    assert torch.isclose(both, 0.3 * cross_entropy + 0.7 * dice)
    assert torch.isclose(cross_entropy, F.cross_entropy(logits, target))
    probabilities, truth = logits.softmax(1), F.one_hot(target, 3).permute(0, 3, 1, 2)
    overlap = (probabilities * truth).sum((0, 2, 3))
    expected = 1 - 2 * overlap / (probabilities.sum((0, 2, 3)) + truth.sum((0, 2, 3)))
    assert torch.isclose(dice, expected.mean(), atol=1e-5)


@pytest.mark.parametrize("batch_dice", [True, False])
def test_the_dice_term_is_monais(batch_dice: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (4, 8, 8), generator=generator)
    logits = torch.randn(4, 3, 8, 8, generator=generator)
    monai = DiceLoss(softmax=True, to_onehot_y=True, batch=batch_dice, smooth_nr=0.0, smooth_dr=1e-5)
    assert torch.isclose(ClassAwareLoss(0, 1, batch_dice=batch_dice)(logits, target), monai(logits, target[:, None]))


@pytest.mark.parametrize("batch_dice", [True, False])
def test_sums_of_parts_of_a_batch_add_up_to_its_loss(target: torch.Tensor, batch_dice: bool) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target[1, 3:] = IGNORE
    loss = ClassAwareLoss(class_weights=torch.tensor([1.0, 2.0, 50.0]), batch_dice=batch_dice)
    parts = [loss.sums(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    assert torch.isclose(loss.of_sums(sum(parts, loss.no_sums(logits, 3))), loss(logits, target))


@pytest.mark.parametrize("batch_dice", [True, False])
def test_ignored_pixels_change_neither_term(target: torch.Tensor, batch_dice: bool) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target[:, 6:] = IGNORE
    other = logits.clone()
    other[:, :, 6:] = 7.0
    loss = ClassAwareLoss(batch_dice=batch_dice)
    assert torch.isclose(loss(logits, target), loss(other, target))


def test_a_batch_of_ignored_pixels_costs_nothing_and_has_a_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = ClassAwareLoss()(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None


def test_classes_absent_from_the_batch_are_left_out_of_the_dice_term(target: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with_absent = torch.cat([logits, torch.full((2, 1, 8, 8), -1e4)], dim=1)
    dice = ClassAwareLoss(ce=0, dice=1)
    assert torch.isclose(dice(logits, target), dice(with_absent, target))


def test_a_tiny_target_weighs_as_much_as_a_large_one_in_the_dice_term() -> None:
    target = torch.zeros(1, 64, 64, dtype=torch.long)
    target[0, 30, 30] = 1
    background_only = logits_of(torch.zeros_like(target), 2)
    assert ClassAwareLoss(ce=0, dice=1)(background_only, target) > 0.49


def test_class_weights_weigh_the_cross_entropy(target: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 2.0, 50.0])
    loss = ClassAwareLoss(1, 0, weights)(logits, target)
    assert torch.isclose(loss, F.cross_entropy(logits, target, weights))


def test_ignored_pixels_have_no_weight_in_the_cross_entropy(target: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target[:, 5:] = IGNORE
    weights = torch.tensor([1.0, 2.0, 50.0])
    loss = ClassAwareLoss(1, 0, weights)(logits, target)
    assert torch.isclose(loss, F.cross_entropy(logits, target, weights, ignore_index=IGNORE))
    target[...] = IGNORE
    target[0, 0, 0] = 0  # a single pixel, of a weight below one
    small = ClassAwareLoss(1, 0, weights / 4)(logits, target)
    assert torch.isclose(small, F.cross_entropy(logits, target, ignore_index=IGNORE))


@pytest.mark.parametrize("batch_dice", [True, False])
def test_a_class_of_a_single_pixel_counts_in_the_dice_term(batch_dice: bool) -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[0, 3, 3] = 1
    missed = logits_of(torch.zeros_like(target), 2)
    assert ClassAwareLoss(0, 1, batch_dice=batch_dice)(missed, target) == pytest.approx(0.5, abs=0.01)


def test_targets_come_to_the_resolution_of_the_logits(target: torch.Tensor) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    enlarged = target.repeat_interleave(4, 1).repeat_interleave(4, 2)
    loss = ClassAwareLoss()
    assert torch.isclose(loss(logits, target), loss(logits, enlarged))


def test_targets_are_brought_down_to_the_pixel_in_the_middle() -> None:
    target = torch.tensor([[[1, 2, 0], [2, 1, 2], [0, 0, 2]]])
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    loss = ClassAwareLoss()
    assert torch.equal(loss(logits, target), loss(logits, target[:, ::2, ::2]))


def test_an_index_that_is_no_class_is_refused(target: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected indices in"):
        ClassAwareLoss()(torch.zeros(2, 2, 8, 8), target)


def enlarged(tensor: torch.Tensor, times: int = 4) -> torch.Tensor:
    """Every pixel repeated."""
    return tensor.repeat_interleave(times, -2).repeat_interleave(times, -1)


@pytest.mark.parametrize("batch_dice", [True, False])
def test_full_resolution_is_the_loss_of_enlarged_logits(target: torch.Tensor, batch_dice: bool) -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    large = enlarged(target)
    large[0, 5:9, 3:7] = IGNORE
    weights = torch.tensor([1.0, 2.0, 50.0])
    full = ClassAwareLoss(class_weights=weights, batch_dice=batch_dice, resolution="full")
    low = ClassAwareLoss(class_weights=weights, batch_dice=batch_dice)
    by_hand = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
    assert torch.isclose(full(logits, large), low(by_hand, large))
    assert not torch.isclose(full(logits, large), low(logits, large))
    assert torch.isclose(full(logits, target), low(logits, target))
    parts = [full.sums(logits[i : i + 1], large[i : i + 1]) for i in range(2)]
    assert torch.isclose(full.of_sums(sum(parts)), full(logits, large))


def test_full_resolution_has_the_gradient_of_its_loss(target: torch.Tensor) -> None:
    loss = ClassAwareLoss(resolution="full")
    large = enlarged(target[:, :4, :4])
    large[1, 2:9] = IGNORE
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    gradient = torch.autograd.grad(loss(logits, large), logits)[0]
    for place in ((0, 0, 0, 0), (0, 1, 2, 3), (1, 2, 3, 1)):
        step = torch.zeros_like(logits)
        step[place] = 1e-2
        with torch.no_grad():
            slope = (loss(logits + step, large) - loss(logits - step, large)) / 2e-2
        assert torch.isclose(gradient[place], slope, rtol=1e-2, atol=1e-5)


def test_pixels_that_full_resolution_ignores_move_no_logit(target: torch.Tensor) -> None:
    large = enlarged(target)
    large[:, :, 16:] = IGNORE
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (gradient,) = torch.autograd.grad(ClassAwareLoss(resolution="full")(logits, large), logits)
    assert gradient[..., :4].abs().sum() > 0
    assert (gradient[..., 5:] == 0).all()
