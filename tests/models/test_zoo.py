"""Every base by its name: what it is, which weights it takes, and what it says of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Sam2Model, SamModel

from samtailor.errors import ConfigError, WeightsError
from samtailor.models.key_maps import convert_hiera, convert_vit
from samtailor.models.sam import sam_config
from samtailor.models.sam2_video_keys import TRANSFORMERS_KEYS, VIDEO_KEYS
from samtailor.models.zoo import BASES, find_base, identify, load_base
from tests.originals.networks import SAM, build
from tests.tiny_base import NAMES as SMALL

NAMES = [
    *(f"sam-vit-{size}" for size in "blh"),
    "medsam-vit-b",
    "mobile-sam",
    "lite-medsam",
    *(f"sam{v}-hiera-{size}" for v in ("2", "2.1") for size in ("tiny", "small", "base-plus", "large")),
]


def meta_state(name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(find_base(name).build().state_dict())


def test_every_base_of_the_mission_is_there() -> None:
    assert [name for name in BASES if name not in SMALL.values()] == NAMES
    with pytest.raises(ConfigError, match=r"expected one of sam-vit-b, .* found 'sam-vit-z'"):
        find_base("sam-vit-z")


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_recognised_by_their_shapes(name: str) -> None:
    twins = {"sam-vit-b": ["sam-vit-b", "medsam-vit-b"], "medsam-vit-b": ["sam-vit-b", "medsam-vit-b"]}
    same = [name.replace("sam2.1", "sam2"), name.replace("sam2-", "sam2.1-")]
    expected = twins.get(name, sorted(set(same), key=NAMES.index) if "hiera" in name else [name])
    assert identify(meta_state(name)) == expected


def test_only_medical_bases_see_images_as_they_are() -> None:
    bases = [find_base(name) for name in NAMES]
    plain = [base.name for base in bases if set(base.mean) == {0.0} and set(base.std) == {1.0}]
    assert plain == ["medsam-vit-b", "lite-medsam"]


class TestTransformersFormat:
    """Weights that transformers' own classes wrote give their numbers."""

    @pytest.fixture(params=["sam", "sam2"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[torch.nn.Module, torch.nn.Module]:
        torch.manual_seed(0)
        if request.param == "sam":
            theirs, ours, convert = SamModel(sam_config(SAM)), build("sam"), convert_vit
        else:
            ours = build("sam2")
            theirs = Sam2Model(ours.config)
            convert = lambda state: convert_hiera(state, "2")  # noqa: E731
        for name, parameter in theirs.named_parameters():
            if "pos" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        ours.load_state_dict(convert(theirs.state_dict()))
        return theirs.eval(), ours.eval()

    def test_same_masks(self, pair: tuple[torch.nn.Module, torch.nn.Module]) -> None:
        theirs, ours = pair
        image, box = torch.rand(1, 3, 64, 64), torch.tensor([[[5.0, 9.0, 40.0, 50.0]]])
        with torch.inference_mode():
            for prompt in ({}, {"input_boxes": box}):
                expected, found = theirs(image, **prompt), ours(image, **prompt)
                torch.testing.assert_close(found.pred_masks, expected.pred_masks, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(found.iou_scores, expected.iou_scores, rtol=1e-4, atol=1e-5)


class TestOtherWeights:
    def test_a_file_or_a_folder_is_taken(self, tiny_base: object, tmp_path: Path) -> None:
        state = load_base("tiny-sam").state_dict()
        state = {key: value.clone() for key, value in state.items()}
        save_file(state, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text("{}")
        for weights in (tmp_path, tmp_path / "model.safetensors"):
            found = load_base("tiny-sam", weights).state_dict()
            assert all(torch.equal(found[key], value) for key, value in state.items())

    @pytest.mark.parametrize("kind", ["missing", "left over"])
    def test_a_missing_or_left_over_key_is_named(self, kind: str, tiny_base: object, tmp_path: Path) -> None:
        state = {key: value.clone() for key, value in load_base("tiny-sam").state_dict().items()}
        if kind == "missing":
            del state["mask_decoder.iou_token.weight"]
        else:
            state["mask_decoder.iou_token.weight.2"] = torch.zeros(1)
        save_file(state, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=rf"1 {kind} \(mask_decoder\.iou_token\.weight"):
            load_base("tiny-sam", tmp_path / "w.safetensors")

    @pytest.mark.parametrize(
        ("base", "given"),
        [("tiny-sam", "mobile-sam"), ("sam2-hiera-tiny", "sam2-hiera-small"), ("lite-medsam", "sam2")],
    )
    def test_weights_of_another_base_are_named(
        self, base: str, given: str, tiny_base: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = "sam2-hiera-tiny" if given == "sam2" else given
        state = meta_state(name)
        monkeypatch.setattr("samtailor.models.zoo.read_states", lambda files: state)
        (tmp_path / "w.pt").touch()
        with pytest.raises(WeightsError, match=rf"expected the weights of {base}, found what looks like {name}"):
            load_base(base, tmp_path / "w.pt")


@pytest.mark.parametrize("keys", [VIDEO_KEYS, TRANSFORMERS_KEYS], ids=["authors", "transformers"])
class TestVideoMemory:
    """The keys of SAM 2's video memory are left out whole, by name, and nothing else is."""

    def state(self, keys: dict[str, frozenset[str]], version: str) -> dict[str, Tensor]:
        state = dict(build("sam2").state_dict()) if keys is TRANSFORMERS_KEYS else {}
        return state | {key: torch.zeros(1) for key in keys[version]}

    def test_all_of_them_are_left_out(self, keys: dict[str, frozenset[str]]) -> None:
        for version in ("2", "2.1"):
            left = convert_hiera(self.state(keys, version), version)
            assert not any("memory" in key and key != "no_memory_embedding" for key in left)

    def test_those_of_the_other_version_are_not(self, keys: dict[str, frozenset[str]]) -> None:
        surplus = keys["2.1"] - keys["2"]
        left = convert_hiera(self.state(keys, "2.1"), "2")
        assert surplus <= left.keys()
        left = convert_hiera(self.state(keys, "2"), "2.1")
        assert any(key.startswith("memory_attention") for key in left)

    def test_half_of_them_are_not(self, keys: dict[str, frozenset[str]]) -> None:
        state = self.state(keys, "2")
        del state["mask_downsample.bias"]
        assert "mask_downsample.weight" in convert_hiera(state, "2")
