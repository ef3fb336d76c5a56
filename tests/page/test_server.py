"""What the page's server answers: cases, labels, changes, predictions, uploads; and what it refuses."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samtailor.data.formats import read_case
from samtailor.inference.refine import Corrections
from samtailor.labels import LabelSpace
from samtailor.page.project import Project
from samtailor.segmenter import load
from tests import generate, generate_scenes
from tests.page.conftest import Opening
from tests.page.pages import MOST, Page, changed, told
from tests.page.test_saving import pictures_without


def truth_of(data: Path, name: str) -> Any:
    return np.asarray(Image.open(data / "masks" / f"{name}.png"))[None]


class TestProject:
    def test_what_it_works_on(self, open_page: Opening, pictures: Path) -> None:
        found = open_page(pictures / "run").project()
        assert found["title"] == "data"
        assert found["data"] == str(found["data"])
        assert found["segmenter"] == {"text": str(pictures / "run"), "base": "tiny-sam", "prompted": True}
        assert found["base"] is None
        colours = ["#000000", "#00ff00", "#0000ff"]
        assert found["classes"] == [
            {"index": index, "name": name, "color": colour}
            for index, (name, colour) in enumerate(zip(generate.PICTURE_CLASSES, colours, strict=True))
        ]
        assert found["ignore"] is None
        assert found["editable"] is True
        assert found["max_upload"] == MOST
        assert found["fit"] == {
            "state": "idle",
            "line": "",
            "fraction": None,
            "error": None,
            "warning": None,
            "run": None,
        }
        assert [row["name"] for row in found["cases"]] == [f"tile_{number}" for number in range(6)]
        assert found["cases"][2] == {
            "id": 2,
            "name": "tile_2",
            "split": None,
            "volume": False,
            "labelled": True,
            "edited": False,
            "predicted": False,
            "uncertainty": None,
            "score": None,
            "uploaded": False,
            "error": None,
        }

    def test_the_data_of_a_run_is_what_it_was_trained_on(self, open_page: Opening, made_pictures: Path) -> None:
        assert open_page(made_pictures / "run").project()["data"] == str(made_pictures / "data")

    def test_splits_are_told(self, open_page: Opening, volumes: Path) -> None:
        rows = open_page(volumes / "run", volumes / "data").project()["cases"]
        assert [row["split"] for row in rows] == ["train"] * 4 + ["val", "test"]
        assert all(row["volume"] for row in rows)

    def test_a_run_whose_data_has_gone_takes_what_is_dropped(self, open_page: Opening, pictures: Path) -> None:
        content = json.loads((pictures / "run" / "dataset.json").read_text())
        (pictures / "run" / "dataset.json").write_text(json.dumps(content | {"root": "/nowhere"}))
        page = open_page(pictures / "run")
        found = page.project()
        assert (found["data"], found["cases"], found["editable"]) == (None, [], False)
        dropped = (pictures / "data" / "images" / "tile_1.png").read_bytes()
        row = page.json("POST", "/api/upload", params={"name": "new.png"}, content=dropped)["row"]
        assert (row["id"], row["uploaded"]) == (0, True)


class TestCases:
    def test_a_picture(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        assert page.open(1) == {
            "id": 1,
            "name": "tile_1",
            "shape": [1, 40, 48],
            "spacing": [1.0, 1.0, 1.0],
            "unit": "px",
            "channels": 3,
            "dtype": "uint8",
            "window": [0.0, 255.0],
            "windows": [],
            "intensity_unit": None,
            "void": False,
            "sources": ["truth"],
            "shown": "truth",
            "axes": "picture",
        }
        pixels = np.frombuffer(page.client.get("/api/cases/1/image").content, np.uint8).reshape(1, 40, 48, 3)
        assert np.array_equal(pixels[0], np.asarray(Image.open(pictures / "data" / "images" / "tile_1.png")))
        for of in ("edit", "truth"):
            assert np.array_equal(page.label(1, of), truth_of(pictures / "data", "tile_1"))

    def test_a_volume_lies_as_everywhere(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        case = read_case(page.server.project.case(0).files, generate.LABELS)
        found = page.open(0)
        assert found["shape"] == list(case.geometry.shape)
        assert found["spacing"] == pytest.approx(case.geometry.spacing)
        assert (found["unit"], found["axes"], found["dtype"], found["channels"]) == ("mm", "patient", "int16", 1)
        assert found["intensity_unit"] == "HU"
        assert found["window"] == [-160.0, 240.0]
        assert {window["name"] for window in found["windows"]} >= {"Lung", "Bone", "Liver"}
        numbers = np.frombuffer(page.client.get("/api/cases/0/image").content, "<i2").reshape(found["shape"])
        assert np.array_equal(numbers, case.image[0])
        assert np.array_equal(page.label(0), case.label)  # type: ignore[arg-type]

    def test_thumbnails(self, open_page: Opening, pictures: Path, volumes: Path) -> None:
        for root, size in ((pictures, (48, 40)), (volumes, (32, 24))):
            page = open_page(root / "run", root / "data")
            for _ in range(2):
                answer = page.client.get("/api/cases/0/thumbnail")
                assert answer.headers["content-type"] == "image/png"
                assert Image.open(io.BytesIO(answer.content)).size == size

    @pytest.mark.parametrize("number", ["6", "-1", "99999999999999", "x", "1.0", "%2e%2e", "..%2f..%2fetc"])
    def test_there_are_no_others(self, number: str, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        for method, rest in (
            ("GET", "thumbnail"),
            ("POST", "open"),
            ("GET", "image"),
            ("GET", "label"),
            ("PATCH", "label?box=0,0,0,1,1,1"),
            ("POST", "revert?to=empty"),
            ("POST", "save"),
            ("GET", "download"),
            ("POST", "predict"),
        ):
            assert page.refused(method, f"/api/cases/{number}/{rest}", 404)
        assert page.refused("POST", f"/api/cases/{number}/prompt", 404, json={"class": 1, "points": [[1, 1]]})
        assert page.refused("POST", f"/api/cases/{number}/interpolate", 404, json={"class": 1, "first": 0, "last": 2})

    def test_what_cannot_be_read_is_told_with_the_case(self, open_page: Opening, pictures: Path) -> None:
        (pictures / "data" / "images" / "tile_3.png").write_bytes(b"no picture")
        page = open_page(pictures / "run", pictures / "data")
        error = page.refused("POST", "/api/cases/3/open", 422)
        assert "expected a readable picture" in error
        assert page.row("tile_3")["error"] == error
        assert page.open(2)["id"] == 2

    def test_an_image_that_no_browser_holds_is_refused(
        self, open_page: Opening, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("samtailor.page.shown_image.MOST_SIDE", 47)
        page = open_page(pictures / "run", pictures / "data")
        for method, address in (("POST", "open"), ("GET", "thumbnail")):
            assert "at most 47 pixels" in page.refused(method, f"/api/cases/0/{address}", 422)

    def test_names_come_as_text(self, open_page: Opening, tmp_path: Path) -> None:
        name = "<script>alert(1)&"
        (tmp_path / "images").mkdir()
        Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / "images" / f"{name}.png")
        page = open_page(base="tiny-sam", data=tmp_path / "images", classes=("<b>x</b>",))
        answer = page.client.get("/api/project")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["cases"][0]["name"] == name
        assert answer.json()["classes"][1]["name"] == "<b>x</b>"

    @pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode elsewhere")
    def test_names_that_are_no_unicode_come_as_they_are(self, open_page: Opening, tmp_path: Path) -> None:
        folder = os.fsencode(tmp_path / "images")
        os.mkdir(folder)
        Image.fromarray(generate.picture((40, 48), 0)[0]).save(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", os.path.join(folder, b"caf\xe9.png"))
        page = open_page(base="tiny-sam", data=tmp_path / "images", classes=("field",))
        assert [row["name"] for row in page.project()["cases"]] == ["caf\udce9"]
        assert page.open(0)["name"] == "caf\udce9"
        page.paint(0, (0, 0, 0, 1, 4, 4))
        assert "caf%5Cudce9.png" in page.client.get("/api/cases/0/download").headers["content-disposition"]
        assert page.json("POST", "/api/cases/0/save")["path"] == "labels/caf\udce9.png"
        assert os.path.exists(os.path.join(folder, b"labels", b"caf\xe9.png"))


class TestPainting:
    def test_a_box_is_set_and_kept(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.paint(0, (0, 3, 4, 1, 9, 20), 2)
        expected = truth_of(pictures / "data", "tile_0").copy()
        expected[:, 3:9, 4:20] = 2
        assert np.array_equal(page.label(0), expected)
        assert np.array_equal(page.label(0, "truth"), truth_of(pictures / "data", "tile_0"))
        assert page.row("tile_0")["edited"]
        assert not page.row("tile_1")["edited"]
        assert (page.open(0)["sources"], page.open(0)["shown"]) == (["edit", "truth"], "edit")
        again = open_page(pictures / "run", pictures / "data")  # as after a kill
        assert again.row("tile_0")["edited"]
        assert np.array_equal(again.label(0), expected)

    def test_voxels_of_a_box_come_in_order(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        box = (1, 2, 3, 4, 5, 7)
        values = np.random.default_rng(0).integers(0, 3, (3, 3, 4)).astype(np.uint8)
        values[0, 0, 0] = 255
        page.json("PATCH", "/api/cases/0/label", params={"box": told(box)}, content=values.tobytes())
        assert np.array_equal(page.label(0)[1:4, 2:5, 3:7], values)

    @pytest.mark.parametrize("size", [0, 71, 73, 1000])
    def test_a_body_of_another_length_is_refused(self, size: int, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        where: dict[str, Any] = {"params": {"box": "0,0,0,1,8,9"}}
        assert "body of 72 bytes" in page.refused("PATCH", "/api/cases/0/label", 400, content=bytes(size), **where)
        # without a length, as programs send that stream
        content = iter([bytes(size)])
        assert "body of" in page.refused("PATCH", "/api/cases/0/label", 400, content=content, **where)
        assert not page.row("tile_0")["edited"]

    @pytest.mark.parametrize(
        "box",
        [
            "",
            "1",
            "0,0,0,1,1",
            "0,0,0,1,41,1",
            "0,0,0,2,1,1",
            "0,-1,0,1,1,1",
            "0,5,0,1,5,1",
            "0,5,0,1,4,1",
            "a,b,c,d,e,f",
        ],
    )
    def test_a_box_lies_within(self, box: str, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        assert "box: expected" in page.refused("PATCH", "/api/cases/0/label", 400, params={"box": box}, content=b"\0")

    @pytest.mark.parametrize("value", [3, 254])
    def test_a_number_that_is_no_class_is_refused(self, value: int, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        where: dict[str, Any] = {"params": {"box": "0,0,0,1,1,2"}, "content": bytes([1, value])}
        assert f"up to 2, found [{value}]" in page.refused("PATCH", "/api/cases/0/label", 400, **where)
        assert not page.row("tile_0")["edited"]

    def test_what_holds_nothing_counts_nowhere_whatever_is_painted(self, open_page: Opening, tmp_path: Path) -> None:
        data = generate_scenes.scene_folder(tmp_path / "scenes", count=3)
        page = open_page(base="tiny-sam", data=data)
        assert page.open(0)["void"]
        whole = (0, 0, 0, *page.label(0).shape)
        page.paint(0, whole, 2)
        for _ in range(2):
            expected = np.full(whole[3:], 2)
            expected[:, : generate_scenes.EMPTY_ROWS] = 255
            assert np.array_equal(page.label(0), expected)
            page = open_page(base="tiny-sam", data=data)  # what was kept
        assert np.array_equal(page.label(0, "empty"), np.where(expected == 2, 0, 255))

    def test_reverting(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.paint(0, (0, 0, 0, 1, 40, 48), 2)
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        assert not page.label(0).any()
        assert page.row("tile_0")["edited"]
        assert "found none" in page.refused("POST", "/api/cases/0/revert", 409, params={"to": "prediction"})
        page.json("POST", "/api/cases/0/revert", params={"to": "truth"})
        assert np.array_equal(page.label(0), truth_of(pictures / "data", "tile_0"))
        assert not page.row("tile_0")["edited"]
        assert page.refused("POST", "/api/cases/0/revert", 400, params={"to": "edit"})


class TestRevisions:
    """Two pages show a case: what one has not seen, it does not overwrite."""

    CHANGES: ClassVar[dict[str, tuple[str, str, dict[str, Any]]]] = {
        "paint": ("PATCH", "label?box=0,0,0,1,2,3", {"content": bytes(6)}),
        "revert": ("POST", "revert?to=empty", {}),
        "prompt": ("POST", "prompt", {"json": {"class": 1, "box": [1, 1, 9, 9]}}),
        "save": ("POST", "save", {}),
    }

    @pytest.mark.parametrize("change", CHANGES)
    def test_a_change_of_a_label_that_is_another_now_is_refused(
        self, change: str, open_page: Opening, pictures: Path
    ) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.open(0)
        method, what, more = self.CHANGES[change]
        seen = page.client.get("/api/cases/0/label").headers["etag"]
        page.paint(0, (0, 0, 0, 1, 20, 20), 2)
        before = page.label(0)
        refusal = page.refused(method, f"/api/cases/0/{what}", 412, headers={"If-Match": seen}, **more)
        assert "changed elsewhere" in refusal
        np.testing.assert_array_equal(page.label(0), before)
        now = page.client.get("/api/cases/0/label").headers["etag"]
        assert now != seen
        answer = page.client.request(method, f"/api/cases/0/{what}", headers={"If-Match": now}, **more)
        assert answer.status_code == 200, answer.text

    def test_who_changes_it_knows_the_next_one(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.open(0)
        seen = page.client.get("/api/cases/0/label").headers["etag"]
        for change in ("paint", "prompt", "revert", "paint"):
            method, what, more = self.CHANGES[change]
            answer = page.client.request(method, f"/api/cases/0/{what}", headers={"If-Match": seen}, **more)
            assert answer.status_code == 200, answer.text
            seen = answer.headers["etag"]
            assert seen == page.client.get("/api/cases/0/label").headers["etag"]
        assert "etag" not in page.client.get("/api/cases/0/label?of=truth").headers

    def test_a_label_of_another_case_is_another_one(self, open_page: Opening, tmp_path: Path) -> None:
        """After a restart, numbers may be those of other cases: empty labels of one size are not one."""
        pictures = pictures_without(tmp_path / "data")
        page = open_page(base="tiny-sam", data=pictures, classes=("field", "water"))
        seen = [page.client.get(f"/api/cases/{number}/label").headers["etag"] for number in range(6)]
        assert len(set(seen)) == 6
        answer = page.client.patch("/api/cases/1/label?box=0,0,0,1,1,1", content=b"\x01", headers={"If-Match": seen[0]})
        assert answer.status_code == 412

    def test_a_change_whose_answer_was_lost_may_be_sent_again(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.open(0)
        seen = page.client.get("/api/cases/0/label").headers["etag"]
        ask = {"headers": {"If-Match": seen}, "content": bytes([2]) * 6}
        first, second = (page.client.patch("/api/cases/0/label?box=0,0,0,1,2,3", **ask) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.headers["etag"] == second.headers["etag"] != seen
        assert page.client.patch("/api/cases/0/label?box=0,0,0,1,2,3", **ask | {"content": bytes(6)}).status_code == 412
        page.paint(0, (0, 5, 5, 1, 9, 9), 1)
        assert page.client.patch("/api/cases/0/label?box=0,0,0,1,2,3", **ask).status_code == 412

    def test_what_was_changed_while_a_prompt_was_answered_is_not_passed_over(
        self, open_page: Opening, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.open(0)
        correct = Corrections.correct

        def meanwhile(self: Corrections, plane: Any, prompt: Any) -> None:
            correct(self, plane, prompt)
            plane[:] = 1
            page.paint(0, (0, 30, 30, 1, 34, 34), 2)

        monkeypatch.setattr(Corrections, "correct", meanwhile)
        seen = page.client.get("/api/cases/0/label").headers["etag"]
        ask = {"class": 1, "box": [1, 1, 9, 9]}
        assert "elsewhere" in page.refused("POST", "/api/cases/0/prompt", 412, headers={"If-Match": seen}, json=ask)
        assert (page.label(0)[0, 30:34, 30:34] == 2).all()

    def test_between_slices(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        for z in (1, 4):
            page.paint(0, (z, 2, 2, z + 1, 8, 8), 1)
        seen = page.client.get("/api/cases/0/label").headers["etag"]
        ask = {"class": 1, "first": 1, "last": 4}
        page.paint(0, (2, 0, 0, 3, 9, 9), 2)
        assert "elsewhere" in page.refused(
            "POST", "/api/cases/0/interpolate", 412, headers={"If-Match": seen}, json=ask
        )
        answer = page.client.post("/api/cases/0/interpolate", json=ask)
        assert answer.headers["etag"] == page.client.get("/api/cases/0/label").headers["etag"]


class TestPrompts:
    def test_a_box_changes_its_class_and_is_kept(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.paint(0, (0, 0, 0, 1, 40, 48), 1)
        before = page.label(0)
        box, values, note = page.prompt(0, **{"class": 1, "slice": 0, "box": [10, 8, 40, 34]})
        assert box is not None
        assert note == ""
        after = before.copy()
        after[box[0] : box[3], box[1] : box[4], box[2] : box[5]] = values
        assert np.array_equal(page.label(0), after)
        assert set(np.unique(after)) > {1}
        where = np.argwhere(after != before)
        assert (*where.min(axis=0), *(where.max(axis=0) + 1)) == box  # no more than what has changed
        assert np.array_equal(open_page(pictures / "run", pictures / "data").label(0), after)

    def test_it_is_what_refine_says(self, open_page: Opening, pictures: Path) -> None:
        from samtailor.inference.prompt import Prompt

        page = open_page(pictures / "run", pictures / "data")
        page.json("POST", "/api/cases/2/predict")
        page.json("POST", "/api/cases/2/revert", params={"to": "prediction"})
        segmenter = load(pictures / "run")
        picture = pictures / "data" / "images" / "tile_2.png"
        result = segmenter.predict(picture, probabilities=True, device="cpu")
        assert np.array_equal(page.label(2), result.label)
        prompts = [
            Prompt("field", points=((12.5, 9.5), (14.0, 12.0))),
            Prompt("water", points=((30.0, 20.0),), not_points=((3.0, 3.0),)),
            Prompt("water", box=(20, 10, 44, 35)),
        ]
        for prompt in prompts:
            result = segmenter.refine(result, [prompt], device="cpu")
            index = generate.PICTURE_CLASSES.index(prompt.name)
            shown: dict[str, Any] = {"class": index, "slice": 0, "points": prompt.points}
            page.prompt(2, **shown, not_points=prompt.not_points, box=prompt.box)
            assert np.array_equal(page.label(2), result.label)

    def test_a_prompt_without_effect_changes_nothing(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        assert page.prompt(0, **{"class": 1, "not_points": [[3, 3]]})[0] is None

    @pytest.mark.parametrize(
        "prompt",
        [
            {},
            {"class": 1},
            {"class": 3, "points": [[1, 1]]},
            {"class": -1, "points": [[1, 1]]},
            {"class": "1", "slice": "x", "points": [[1, 1]]},
            {"class": 1, "slice": 1, "points": [[1, 1]]},
            {"class": 1, "points": [[1, 41]]},
            {"class": 1, "points": [[-1, 4]]},
            {"class": 1, "points": [1, 4]},
            {"class": 1, "points": [[1, 2, 3]]},
            {"class": 1, "points": "1,2"},
            {"class": 1, "points": [[True, 4]]},
            {"class": 1, "points": [[10**400, 4]]},
            {"class": 1, "slice": 10**400, "points": [[1, 4]]},
            {"class": 1, "box": [5, 5, 5, 9]},
            {"class": 1, "box": [5, 5, 9]},
            {"class": 1, "box": {"left": 1}},
        ],
    )
    def test_what_is_no_prompt_is_refused(self, prompt: dict[str, Any], open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        assert "expected" in page.refused("POST", "/api/cases/0/prompt", 400, json=prompt)
        assert not page.row("tile_0")["edited"]

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{", b"\xff", b'{"class": NaN}', b"[" * 100000, b'"' + b"x" * 2_000_000]
    )
    def test_what_is_no_json_is_refused(self, body: bytes, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        answer = page.client.post("/api/cases/0/prompt", content=body)
        assert answer.status_code == (413 if len(body) > 1_000_000 else 400)

    def test_who_was_trained_without_prompts_says_so(self, open_page: Opening, volumes: Path, tiny_base: Any) -> None:
        file = volumes / "run" / "segmenter" / "segmenter.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"prompts": "none"}))
        page = open_page(volumes / "run", volumes / "data")
        assert page.project()["segmenter"]["prompted"] is False
        _, _, note = page.prompt(0, **{"class": 1, "slice": 2, "box": [4, 5, 20, 21]})
        assert note.startswith("This%20segmenter%20was%20trained%20without%20prompts")
        assert note.isascii()

    def test_a_base_that_nobody_has_fitted_draws_too(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(base="tiny-sam", data=pictures / "data")
        found = page.project()
        assert (found["base"], found["segmenter"]) == ("tiny-sam", None)
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        box, values, _ = page.prompt(0, **{"class": 2, "box": [5, 5, 40, 35]})
        assert box is not None
        assert set(np.unique(values)) <= {0, 2}
        for method, address in (("POST", "/api/cases/0/predict"), ("POST", "/api/predict")):
            assert "expected a fitted segmenter" in page.refused(method, address, 409)
        image = (pictures / "data" / "images" / "tile_0.png").read_bytes()
        assert page.refused("POST", "/predict", 409, params={"name": "a.png"}, content=image)


class TestInterpolation:
    def test_slices_between_are_drawn(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        page.paint(0, (1, 4, 4, 2, 12, 12), 1)
        page.paint(0, (4, 4, 8, 5, 12, 16), 1)
        page.paint(0, (2, 0, 0, 3, 3, 3), 1)  # taken: the shape is what the object is
        page.paint(0, (3, 0, 0, 4, 3, 3), 2)  # of another class: stays
        answer = page.client.post("/api/cases/0/interpolate", json={"class": 1, "first": 1, "last": 4})
        box, values, _ = changed(answer)
        label = page.label(0)
        assert box is not None
        assert np.array_equal(label[box[0] : box[3], box[1] : box[4], box[2] : box[5]], values)
        assert (box[0], box[3]) == (2, 4)
        for index in (2, 3):
            assert 56 <= (label[index] == 1).sum() <= 72
            assert label[index, 5:11, 9:11].all()
        assert not label[2, :3, :3].any()
        assert (label[3, :3, :3] == 2).all()

    def test_what_cannot_be_is_refused(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        page.paint(0, (1, 4, 4, 2, 12, 12), 1)
        ask = "/api/cases/0/interpolate"
        assert "found none" in page.refused("POST", ask, 409, json={"class": 1, "first": 1, "last": 4})
        for first, last in ((1, 2), (3, 1), (-1, 3), (0, 6), (1, 1)):
            assert page.refused("POST", ask, 400, json={"class": 1, "first": first, "last": last})
        assert page.refused("POST", ask, 400, json={"class": 9, "first": 1, "last": 4})
        assert page.refused("POST", ask, 400, json={"class": 1, "first": 1})


class TestPredictions:
    def test_what_is_drawn_is_what_is_edited_whatever_is_predicted_meanwhile(
        self, open_page: Opening, pictures: Path
    ) -> None:
        (pictures / "data" / "masks" / "tile_0.png").unlink()
        page = open_page(pictures / "run", pictures / "data")
        number = page.row("tile_0")["id"]
        page.open(number)
        drawn = page.label(number).copy()
        assert not drawn.any()
        page.server.project.predict(number)  # as those of all cases are, in the background
        predicted = page.server.project.label(number, "prediction").copy()
        assert predicted.any()
        page.paint(number, (0, 0, 0, 1, 2, 2), 1)
        drawn[0, :2, :2] = 1
        assert np.array_equal(page.server.project.label(number, "edit"), drawn)
        page.json("POST", f"/api/cases/{number}/revert", params={"to": "prediction"})
        project = page.server.project
        project.take(project.require_segmenter(), pictures / "run")  # a fit has ended
        page.paint(number, (0, 0, 0, 1, 2, 2), 1)
        predicted[0, :2, :2] = 1
        assert np.array_equal(project.label(number, "edit"), predicted)

    def test_a_prediction_with_score_and_uncertainty(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        answer = page.json("POST", "/api/cases/0/predict")
        assert answer["seconds"] > 0
        row = answer["row"]
        assert row["predicted"]
        result = load(pictures / "run").predict(
            pictures / "data" / "images" / "tile_0.png", probabilities=True, device="cpu"
        )
        assert np.array_equal(page.label(0, "prediction"), result.label)
        assert result.probabilities is not None
        share = result.probabilities.astype(np.float64)
        entropy = -(share * np.log(np.maximum(share, 1e-9))).sum(axis=0).mean() / np.log(3)
        assert row["uncertainty"] == pytest.approx(entropy, abs=1e-3)
        truth = truth_of(pictures / "data", "tile_0")
        dsc = [
            2 * ((truth == k) & (result.label == k)).sum() / ((truth == k).sum() + (result.label == k).sum())
            for k in (1, 2)
        ]
        assert row["score"] == pytest.approx(np.mean(dsc))
        assert np.array_equal(page.label(0), truth)  # a truth stays what is worked on

    def test_without_a_truth_it_becomes_the_label_unless_there_are_edits(
        self, open_page: Opening, pictures: Path
    ) -> None:
        for name in ("tile_0", "tile_1"):
            (pictures / "data" / "masks" / f"{name}.png").unlink()
        page = open_page(pictures / "run", pictures / "data")
        assert page.open(0)["shown"] == "empty"
        page.paint(1, (0, 0, 0, 1, 2, 2), 2)
        for number in (0, 1):
            row = page.json("POST", f"/api/cases/{number}/predict")["row"]
            assert row["score"] is None
        assert page.open(0)["shown"] == "prediction"
        assert np.array_equal(page.label(0), page.label(0, "prediction"))
        assert page.open(1)["shown"] == "edit"
        assert page.label(1).sum() == 8

    def test_all_cases_in_the_background(self, open_page: Opening, pictures: Path) -> None:
        (pictures / "data" / "images" / "tile_3.png").write_bytes(b"damaged")
        page = open_page(pictures / "run", pictures / "data")
        page.json("POST", "/api/cases/1/predict")
        begun = page.json("POST", "/api/predict")
        assert begun["of"] == 5
        finish(page)
        assert page.json("GET", "/api/predict") == {"running": False, "done": 5, "of": 5, "failed": 1}
        rows = page.project()["cases"]
        assert [row["predicted"] for row in rows] == [True, True, True, False, True, True]
        assert "readable picture" in rows[3]["error"]

    def test_an_error_of_a_library_is_one_of_its_case(
        self, open_page: Opening, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as a GPU that is full: those behind it are reached."""
        page = open_page(pictures / "run", pictures / "data")
        predict = page.server.project.predict

        def failing(number: int) -> Any:
            if number == 1:
                raise RuntimeError("CUDA out of memory")
            return predict(number)

        monkeypatch.setattr(page.server.project, "predict", failing)
        page.json("POST", "/api/predict")
        finish(page)
        assert page.json("GET", "/api/predict") == {"running": False, "done": 6, "of": 6, "failed": 1}
        rows = page.project()["cases"]
        assert [row["predicted"] for row in rows] == [True, False, True, True, True, True]
        assert rows[1]["error"] == "CUDA out of memory"

    def test_it_can_be_stopped(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        with page.server.project.network:  # none can be computed
            page.json("POST", "/api/predict")
            assert page.refused("POST", "/api/predict", 409)
            page.json("DELETE", "/api/predict")
        finish(page)
        assert page.json("GET", "/api/predict")["done"] <= 1
        page.json("POST", "/api/predict")
        finish(page)
        assert all(row["predicted"] for row in page.project()["cases"])
        assert "found none" in page.refused("POST", "/api/predict", 409)


def finish(page: Page) -> None:
    thread = page.server.predicting._thread
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()


class TestUploads:
    def test_an_image_is_listed_opened_predicted_and_its_label_downloaded(
        self, open_page: Opening, volumes: Path, tmp_path: Path
    ) -> None:
        page = open_page(volumes / "run", volumes / "data")
        file = volumes / "data" / "imagesTr" / "case_1_0000.nii.gz"
        row = page.json("POST", "/api/upload", params={"name": "C:\\scans/My scan.nii.gz"}, content=file.read_bytes())
        found = row["row"]
        assert (found["name"], found["uploaded"], found["volume"], found["id"]) == ("My scan", True, True, 6)
        assert page.open(6)["shape"] == page.open(1)["shape"]
        assert page.json("POST", "/api/cases/6/predict")["row"]["predicted"]
        page.paint(6, (0, 0, 0, 1, 4, 4), 2)
        answer = page.client.get("/api/cases/6/download")
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''My%20scan.nii.gz"
        (tmp_path / "label.nii.gz").write_bytes(answer.content)
        label = nib.load(tmp_path / "label.nii.gz")
        image = nib.load(file)
        assert np.allclose(label.affine, image.affine)
        assert label.shape == image.shape
        assert "download its label" in page.refused("POST", "/api/cases/6/save", 409)
        assert list((volumes / "data").rglob("*My scan*")) == []

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("../../../../tmp/evil.png", "evil"),
            ("/etc/passwd.png", "passwd"),
            ("a\x00b\n.png", "ab"),
            ("<script>alert(1)<\\script>.png", "script>"),
            ("<b>.png", "<b>"),
            (".png", ".png"),
            ("x" * 500 + ".png", "x" * 116),
            ("größe.PNG", "größe"),
        ],
    )
    def test_of_a_name_only_the_suffix_is_used(
        self, name: str, title: str, open_page: Opening, pictures: Path, tmp_path: Path
    ) -> None:
        page = open_page(pictures / "run", pictures / "data")
        image = (pictures / "data" / "images" / "tile_1.png").read_bytes()
        before = sorted(tmp_path.rglob("*"))
        row = page.json("POST", "/api/upload", params={"name": name}, content=image)["row"]
        assert row["name"] == title
        files = [path for path in page.server.project.uploads.folder.rglob("*") if path.is_file()]
        assert [file.name for file in files] == ["image.png"]
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize("name", ["", "a.exe", "a", "a.html", "a.svg", "a.vrt", "png", "a.png/"])
    def test_other_files_are_refused_before_they_are_read(self, name: str, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        assert "expected an image with one of" in page.refused(
            "POST", "/api/upload", 422, params={"name": name}, content=b"x"
        )

    def test_what_is_no_image_leaves_nothing_behind(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        folder = page.server.project.uploads.folder
        for content, status in ((b"no picture at all", 422), (b"", 400)):
            error = page.refused("POST", "/api/upload", status, params={"name": "a.png"}, content=content)
            assert error.startswith("a.png: " if status == 422 else "expected an image")
            assert list(folder.iterdir()) == []
        assert len(page.project()["cases"]) == 6

    def test_what_is_too_large_is_not_kept(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        folder = page.server.project.uploads.folder
        most: list[int] = []

        def endless() -> Any:
            while True:
                most.append(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
                yield bytes(MOST // 4)

        for address in ("/api/upload", "/predict"):
            whole: dict[str, Any] = {"params": {"name": "a.png"}, "content": bytes(MOST + 1)}
            assert "--max_upload" in page.refused("POST", address, 413, **whole)
        finite = (piece for piece, _ in zip(endless(), range(8), strict=False))
        assert page.refused("POST", "/api/upload", 413, params={"name": "a.png"}, content=finite)
        assert max(most) <= MOST
        assert list(folder.iterdir()) == []

    def test_the_folder_goes_with_the_server(self, open_page: Opening, pictures: Path) -> None:
        from tests.page.pages import opened

        with opened(pictures / "run", pictures / "data") as page:
            folder = page.server.project.uploads.folder
            image = (pictures / "data" / "images" / "tile_1.png").read_bytes()
            page.json("POST", "/api/upload", params={"name": "a.png"}, content=image)
            page.paint(6, (0, 0, 0, 1, 4, 4), 2)
            assert folder.is_dir()
            assert page.row("a")["edited"]
        assert not folder.exists()


class TestOtherPrograms:
    @pytest.mark.parametrize("kind", ["auto", "png"])
    def test_an_image_in_a_label_out(self, kind: str, open_page: Opening, pictures: Path, tmp_path: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        file = pictures / "data" / "images" / "tile_4.png"
        where = {"name": "scene 1.png", "format": kind}
        answer = page.client.post("/predict", params=where, content=file.read_bytes())
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].endswith("scene%201.png")
        expected = load(pictures / "run").predict(file, device="cpu")
        expected.save(tmp_path / "expected.png")
        assert answer.content == (tmp_path / "expected.png").read_bytes()
        assert list(page.server.project.uploads.folder.iterdir()) == []
        assert len(page.project()["cases"]) == 6

    def test_volumes_in_other_kinds(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        content = (volumes / "data" / "imagesTr" / "case_1_0000.nii.gz").read_bytes()
        answer = page.client.post("/predict", params={"name": "a.nii.gz", "format": "seg.nrrd"}, content=content)
        assert answer.content.startswith(b"NRRD")
        assert answer.headers["content-disposition"].endswith("a.seg.nrrd")
        refused = page.refused("POST", "/predict", 400, params={"name": "a.nii.gz", "format": "png"}, content=content)
        assert "expected auto, or one of nifti, seg.nrrd; found 'png'" in refused

    def test_errors_are_clear(self, open_page: Opening, volumes: Path) -> None:
        page = open_page(volumes / "run", volumes / "data")
        error = page.refused("POST", "/predict", 422, params={"name": "a.nii.gz"}, content=b"x" * 500)
        assert error.startswith("a.nii.gz: expected a readable")
        assert "empty one" in page.refused("POST", "/predict", 400, params={"name": "a.nii.gz"})
        colours = io.BytesIO()
        Image.fromarray(generate.picture((20, 20), 0)[0]).save(colours, format="PNG")
        sent = page.refused("POST", "/predict", 422, params={"name": "a.png"}, content=colours.getvalue())
        assert "expected 1 channel, found 3" in sent
        assert list(page.server.project.uploads.folder.iterdir()) == []


class TestTheServer:
    @pytest.mark.parametrize("name", ["..%2fserver.py", "server.py", "../server.py", "__init__.py", "x", "static"])
    def test_only_files_of_the_page_are_served(self, name: str, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        for address in (f"/static/{name}", f"/{name}"):
            answer = page.client.get(address)
            assert answer.status_code in (404, 303)
            assert b"import" not in answer.content

    def test_the_page_itself(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        first = page.client.get("/")
        assert first.headers["content-type"].startswith("text/html")
        assert page.client.get("/index.html").content == page.client.get("/static/index.html").content == first.content

    def test_another_method_is_refused_in_the_same_words(self, open_page: Opening, pictures: Path) -> None:
        page = open_page(pictures / "run", pictures / "data")
        assert page.refused("PUT", "/api/project", 405)
        assert page.refused("GET", "/api/nowhere/at/all", 404)

    def test_ten_clients_at_once(self, open_page: Opening, pictures: Path) -> None:
        """Each paints its own row of the same picture while it asks for everything else."""
        page = open_page(pictures / "run", pictures / "data")
        page.json("POST", "/api/cases/0/revert", params={"to": "empty"})
        barrier = threading.Barrier(10)

        def work(number: int) -> None:
            barrier.wait()
            for column in range(0, 48, 8):
                page.paint(0, (0, 2 * number, column, 1, 2 * number + 1, column + 8), 1 + number % 2)
                assert page.client.get(f"/api/cases/{number % 6}/image").status_code == 200
                assert page.client.get(f"/api/cases/{number % 6}/thumbnail").status_code == 200
            page.prompt(1 + number % 5, **{"class": 1, "box": [4, 4, 30, 30]})
            page.json("POST", f"/api/cases/{number % 6}/predict")
            page.project()

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(work, range(10)))
        expected = np.zeros((1, 40, 48), np.uint8)
        for number in range(10):
            expected[0, 2 * number] = 1 + number % 2
        assert np.array_equal(page.label(0), expected)
        assert np.array_equal(open_page(pictures / "run", pictures / "data").label(0), expected)

    def test_a_folder_that_cannot_be_written_to_can_be_looked_at(
        self, open_page: Opening, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
        page = open_page(pictures / "run", pictures / "data")
        assert page.project()["editable"] is False
        assert page.json("POST", "/api/cases/0/predict")["row"]["predicted"]
        assert "can be written to" in page.refused("POST", "/api/cases/0/save", 409)
        assert "can be written to" in page.refused("POST", "/api/fit", 409, json={"time": "10s"})
        page.paint(0, (0, 0, 0, 1, 40, 48), 2)
        assert page.row("tile_0")["edited"]
        assert (open_page(pictures / "run", pictures / "data").label(0) == 2).all()
        assert (page.client.get("/api/cases/0/download").status_code) == 200
        assert not (pictures / "data" / ".samtailor").exists()

    def test_more_classes_than_bytes_are_refused(self) -> None:
        from samtailor.errors import ConfigError
        from samtailor.page.cases import Folder

        labels = LabelSpace.from_names(tuple(f"class {number}" for number in range(256)))
        with pytest.raises(ConfigError, match="at most 255, found 256"):
            Project(Folder(Path(), labels, []))
