"""Prompts correct a class-aware result, and only where they speak."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samtailor.data.case import Case, CaseFiles
from samtailor.data.formats import read_case, read_image
from samtailor.data.intensity import CTWindow, Range, Slices, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import DataError
from samtailor.inference.ensemble import mean_of
from samtailor.inference.predictor import Piece, Predictor
from samtailor.inference.prompt import Prompt
from samtailor.inference.prompted import MARGIN
from samtailor.inference.refine import Corrections, refine
from samtailor.inference.result import Result, segment
from samtailor.labels import LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.models.practice import Practice, PromptTraining
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, LoRA
from samtailor.refinement.outline import Outline
from samtailor.segmenter import Segmenter

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))
ORGANS = {"spleen": 1, "liver": 5, "aorta": 52}


def segmenter_of(base: Base, field: int | None = None, depth: bool = False) -> Segmenter:
    recipe = Adapter(depth=True) if depth else LoRA()
    preprocessing = Preprocessing(Range(), base.image_size, field, 1)
    return Segmenter(SegmenterModel.create(base.name, recipe, LABELS, preprocessing).eval())


@pytest.fixture
def case(nnunet_folder: Path) -> Path:
    return next(iter(sorted((nnunet_folder / "imagesTr").iterdir())))


def result_of(segmenter: Segmenter, case: Path, label: int = 1) -> Result:
    """A result that calls everything liver."""
    found = segmenter.predict(case)
    return replace(found, label=np.full_like(found.label, label))


class TestEveryBase:
    @pytest.mark.parametrize("field", [None, 12])
    def test_a_box_changes_its_class_inside_and_nothing_outside(
        self, field: int | None, any_base: Base, case: Path
    ) -> None:
        segmenter = segmenter_of(any_base, field)
        before = result_of(segmenter, case)
        after = segmenter.refine(before, [Prompt("liver", 2, box=(4, 5, 10, 11))])
        changed = np.argwhere(after.label != before.label)
        reach = MARGIN * 6
        assert len(changed)  # a random network's mask does not fill the box
        assert set(changed[:, 0]) == {2}
        assert changed[:, 1].min() >= 5 - reach
        assert changed[:, 1].max() < 11 + reach
        assert changed[:, 2].min() >= 4 - reach
        assert changed[:, 2].max() < 10 + reach

    def test_points_and_masks_are_taken(self, any_base: Base, case: Path) -> None:
        segmenter = segmenter_of(any_base)
        before = result_of(segmenter, case, label=0)
        rough = np.zeros(before.label.shape[1:], bool)
        rough[3:9, 4:10] = True
        shown = [
            [Prompt("spleen", 1, points=((5.0, 6.0),))],
            [Prompt("spleen", 1, points=((5.0, 6.0),), not_points=((1.0, 1.0),))],
            [Prompt("spleen", 1, mask=rough)],
            [Prompt("spleen", 1, mask=rough, box=(3, 2, 11, 10), points=((5.0, 6.0),))],
        ]
        results = [segmenter.refine(before, prompts).label for prompts in shown]
        assert all((label[[0, 2]] == 0).all() for label in results)
        assert len({label.tobytes() for label in results}) > 1  # they say different things

    def test_a_file_is_segmented_first(self, any_base: Base, case: Path) -> None:
        segmenter = segmenter_of(any_base)
        prompts = [Prompt("liver", 0, box=(4, 5, 10, 11))]
        expected = segmenter.refine(segmenter.predict(case), prompts)
        assert np.array_equal(segmenter.refine(case, prompts).label, expected.label)


def test_depth_adapters_take_prompts_too(any_base: Base, case: Path) -> None:
    segmenter = segmenter_of(any_base, depth=True)
    after = segmenter.refine(case, [Prompt("liver", 0, box=(4, 5, 10, 11))])
    assert after.label.shape == segmenter.predict(case).label.shape


@pytest.mark.parametrize("index", range(5))
def test_slices_are_seen_with_the_neighbours_that_prediction_saw_them_with(
    index: int, any_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = segmenter_of(any_base, depth=True)
    torch.manual_seed(0)
    for name, parameter in segmenter.model.trained_state().items():
        if ".adapter." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    volume = np.random.default_rng(0).integers(0, 256, (5, 24, 32)).astype(np.float32)
    predictor = Predictor(segmenter.model, device="cpu")
    result = segmenter.predict(volume, spacing=(1.0, 1.0, 1.0))
    window = segmenter.model.preprocessing.windows(24, 32)[0]
    group = ([0, 1, 2], [3, 4, 4])[index // 3]
    with torch.inference_mode():
        inputs = torch.stack([segmenter.model.preprocessing.input_of(result.slices[i], window) for i in group])
        expected = [feature[index % 3] for feature in segmenter.model.encode(inputs)]
    for found, feature in zip(predictor.features(result.slices, Piece(index, window)), expected, strict=True):
        torch.testing.assert_close(found[0], feature)

    wanted = range(index, index + 1)
    whole, alone = predictor.probabilities(result.slices), predictor.probabilities(result.slices, wanted)
    np.testing.assert_allclose(alone[:, 0], whole[:, index], atol=2e-3)


@pytest.mark.parametrize("sees", ["depth adapters", "neighbours", "depth adapters of two networks"])
def test_a_correction_goes_by_what_prediction_found_of_its_slice(
    sees: str, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = sees != "neighbours"
    preprocessing = Preprocessing(Range(), tiny_base.image_size, None, 1, neighbours=not depth)
    models = []
    for seed in range(2 if "two" in sees else 1):
        torch.manual_seed(seed)
        models.append(SegmenterModel.create(tiny_base.name, Adapter(depth=depth), LABELS, preprocessing).eval())
        for name, parameter in models[-1].trained_state().items():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1.0 if ".adapter." in name else 0.3)
    predictor = mean_of([Predictor(model, device="cpu") for model in models])
    slices = np.random.default_rng(0).random((5, 1, 24, 32), np.float32) * np.float32([0.2, 1, 0.1, 0.9, 0.4]).reshape(
        -1, 1, 1, 1
    )
    whole = predictor.probabilities(slices)
    assert np.abs(whole[:, 3] - predictor.probabilities(slices[3:4])[:, 0]).max() > 0.02  # neighbours matter
    corrections = Corrections(predictor, slices, LABELS)
    asked, found = Predictor.probabilities, list[NDArray[np.float16]]()

    def noted(self: Predictor, image: Slices, slices: range | None = None) -> NDArray[np.float16]:
        found.append(asked(self, image, slices))
        return found[-1]

    monkeypatch.setattr(Predictor, "probabilities", noted)
    for index in range(5):
        corrections.correct(np.ones((24, 32), np.int16), Prompt("liver", index, box=(1, 1, 31, 23)))
    assert len(found) == 5
    for index, of_slice in enumerate(found):
        np.testing.assert_allclose(of_slice[:, 0], whole[:, index], atol=1e-3)


class TestASegmenterThatWasTrainedWithoutPrompts:
    @pytest.mark.parametrize(
        ("trained", "of_clicks", "of_outlines"),
        [
            (None, False, False),
            ("none", True, True),
            ("drawn", False, True),
            ("outline", False, False),
        ],
    )
    def test_says_so_when_it_is_prompted(
        self, trained: PromptTraining | None, of_clicks: bool, of_outlines: bool, tiny_base: Base, case: Path
    ) -> None:
        preprocessing = Preprocessing(Range(), tiny_base.image_size, None, 1)
        model = SegmenterModel.create(tiny_base.name, LoRA(), LABELS, preprocessing, practice=Practice(prompts=trained))
        segmenter = Segmenter(model.eval())
        for refined, warns in (([Prompt("liver", 2, box=(4, 5, 10, 11))], of_clicks), (Outline(), of_outlines)):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                segmenter.refine(result_of(segmenter, case), refined)
            assert any("trained" in str(warning.message) for warning in told) == warns


def test_prompts_are_answered_in_the_predictor_s_precision(tiny_base: Base, case: Path) -> None:
    segmenter = segmenter_of(tiny_base)
    result = result_of(segmenter, case)
    seen: set[torch.dtype] = set()
    network = segmenter.model.network
    for part in (network.image_encoder, network.mask_decoder):
        layer = next(m for m in part.modules() if isinstance(m, torch.nn.Linear))
        layer.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    refine(Predictor(segmenter.model, device="cpu", precision="bf16"), result, [Prompt("liver", 0, box=(4, 5, 10, 11))])
    assert seen == {torch.bfloat16}


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt("lung", 0, box=(1, 1, 2, 2)), "expected one of the classes background, liver, spleen; found 'lung'"),
        (Prompt("liver", 99, box=(1, 1, 2, 2)), "expected a slice from 0 to"),
        (Prompt("liver", 0), "expected points, a box or a mask, found none"),
        (Prompt("liver", 0, box=(5, 1, 2, 2)), "expected a box"),
        (Prompt("liver", 0, points=((1.0, 999.0),)), "found 1.0, 999.0"),
        (Prompt("liver", 0, mask=np.ones((2, 2), bool)), "found 2 x 2"),
        (Prompt("liver", 0, mask=np.zeros((2, 2), bool)), "expected a mask of something, found an empty one"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(prompt: Prompt, message: str, tiny_base: Base, case: Path) -> None:
    segmenter = segmenter_of(tiny_base)
    result = result_of(segmenter, case)
    with pytest.raises(DataError, match=message):
        refine(Predictor(segmenter.model), result, [prompt])


@pytest.mark.weights
@pytest.mark.shared_data
def test_one_box_per_organ_raises_the_dsc_of_an_under_trained_segmenter(abdominal_ct: tuple[Path, Path]) -> None:
    """Real CT: three steps on other slices, then a box around each organ of one slice."""
    volume, labels = abdominal_ct
    whole = read_case(CaseFiles("truth", (labels,)), None)
    names = ("background", *ORGANS)
    truth = np.zeros(whole.image[0].shape, np.int16)
    for index, organ in enumerate(ORGANS.values(), start=1):
        truth[whole.image[0] == organ] = index
    smallest = [min((plane == i).sum() for i in range(1, len(names))) for plane in truth]
    order = np.argsort(smallest)[::-1]
    index, others = int(order[0]), order[5:7]
    case = read_image(volume, 1)
    segmenter = SegmenterModel.create(
        "lite-medsam", LoRA(), LabelSpace.from_names(names), Preprocessing(CTWindow(40, 400), 256, None, 1)
    )
    train_three_steps(segmenter, case, truth, others)
    before = segment(Predictor(segmenter), replace(case, image=case.image[:, index : index + 1]))
    prompts = [Prompt(name, 0, box=box_of(truth[index] == i)) for i, name in enumerate(names) if i]
    after = refine(Predictor(segmenter), before, prompts)
    scores = [mean_dsc(result.label[0], truth[index], len(names)) for result in (before, after)]
    assert scores[1] > scores[0] + 0.2
    assert scores[1] > 0.8


def train_three_steps(
    segmenter: SegmenterModel, case: Case, truth: NDArray[np.int16], slices: NDArray[np.intp]
) -> None:
    preprocessing = segmenter.preprocessing
    image = scale(case.image, preprocessing.intensity).swapaxes(0, 1)
    (window,) = preprocessing.windows(*truth.shape[1:])
    images = torch.stack([preprocessing.input_of(image[i], window) for i in slices])
    targets = torch.stack([preprocessing.target_of(truth[i], window) for i in slices])
    optimizer = torch.optim.AdamW([p for p in segmenter.parameters() if p.requires_grad], lr=3e-4)
    loss = ClassAwareLoss()
    segmenter.train()
    for _ in range(3):
        loss(segmenter(images), targets).backward()
        optimizer.step()
        optimizer.zero_grad()


def box_of(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.where(mask)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def mean_dsc(label: NDArray[np.int16], truth: NDArray[np.int16], classes: int) -> float:
    pairs = [(label == i, truth == i) for i in range(1, classes)]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


class Encodings:
    """Counts what predictors encode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        features = Predictor.features

        def counted(predictor: Predictor, slices: Slices, piece: Piece) -> object:
            self.count += 1
            return features(predictor, slices, piece)

        monkeypatch.setattr(Predictor, "features", counted)


@pytest.mark.parametrize("field", [None, 16])
def test_prompts_one_after_the_other_encode_a_place_once(
    field: int | None, tiny_base: Base, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = segmenter_of(tiny_base, field)
    encodings = Encodings(monkeypatch)
    corrections = segmenter.corrections(read_image(case))
    assert corrections.draws
    plane = np.ones((24, 32), np.int16)
    for x in (11.0, 12.0, 13.0):
        corrections.correct(plane, Prompt("liver", 2, points=((x, 12.0),), not_points=((x + 1, 12.0),)))
        corrections.correct(plane, Prompt("liver", 2, box=(x - 1, 10, x + 2, 14)))
    assert encodings.count == 1
    corrections.correct(plane, Prompt("liver", 3, box=(8, 8, 16, 16)))
    assert encodings.count == 2
    corrections.correct(plane, Prompt("liver", 2, box=(8, 8, 16, 16)))
    assert encodings.count == 2  # the slice before is known still


def test_corrections_one_after_the_other_are_those_of_refine(tiny_base: Base, case: Path) -> None:
    segmenter = segmenter_of(tiny_base)
    before = result_of(segmenter, case)
    prompts = [
        Prompt("spleen", 2, points=((5.0, 6.0),)),
        Prompt("liver", 2, box=(4, 5, 20, 21)),
        Prompt("liver", 2, not_points=((12.0, 12.0),)),
    ]
    label = before.label.copy()
    corrections = segmenter.corrections(read_image(case))
    for prompt in prompts:
        corrections.correct(label[2], prompt)
    assert np.array_equal(label, segmenter.refine(before, prompts).label)
    with pytest.raises(DataError, match="a slice from 0 to 5"):
        corrections.correct(label[2], Prompt("liver", 6, points=((1.0, 1.0),)))


def test_a_slice_that_is_prepared_is_not_segmented_again(
    tiny_base: Base, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrections = segmenter_of(tiny_base).corrections(read_image(case))
    corrections.prepare(2)
    monkeypatch.setattr(Predictor, "probabilities", None)
    plane = np.ones((24, 32), np.int16)
    corrections.correct(plane, Prompt("liver", 2, not_points=((12.0, 12.0),)))
    assert (plane != 1).any()
