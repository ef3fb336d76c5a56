"""Looking at cases, predicting, saving: what is on the page is on the server, and on disk."""

from __future__ import annotations

import re
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samtailor.page.project import Project
from tests import generate
from tests.page.browser.screen import Page, canvas, clear, colour, drag, expect, label, opened, ready, synced
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse

pytestmark = pytest.mark.browser


def test_the_first_case_is_open_with_its_truth_as_label(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)
    assert page.locator("#cases li").count() == 6
    assert page.locator("#facts").inner_text().startswith("tile_0")
    truth = np.asarray(Image.open(data / "masks" / "tile_0.png"))
    np.testing.assert_array_equal(label(page)[0], truth)
    counts = page.locator("#classes .class-count").all_inner_texts()
    assert counts[1:] == [f"{(truth == k).sum():,} px" for k in (1, 2)]


def test_image_and_classes_are_drawn_in_their_colours(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)
    page.keyboard.press("f")
    page.keyboard.press("2")
    drag(page, (0, 0), (0, 0))
    pixel = np.asarray(Image.open(data / "images" / "tile_0.png"))[24, 32]
    blue = np.array(generate.PICTURE_PALETTE[2])
    np.testing.assert_allclose(colour(page), 0.6 * pixel + 0.4 * blue, atol=4)
    page.locator("#opacity").fill("100")
    np.testing.assert_allclose(colour(page), blue, atol=2)
    page.locator("#concealed").check()
    np.testing.assert_allclose(colour(page), pixel, atol=2)
    page.locator("#concealed").uncheck()
    page.locator(".class-eye").nth(1).click()
    np.testing.assert_allclose(colour(page), pixel, atol=2)


def test_a_prediction_is_shown_and_can_become_the_label(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    truth = label(page)
    page.locator("#predict").click()
    page.wait_for_selector("#notes :text('Predicted in')")
    expect(page.locator("#sources [aria-pressed=true]")).to_have_text("Prediction")
    np.testing.assert_array_equal(label(page), truth)
    expect(page.locator("#cases li").first).to_contain_text("DSC")
    page.locator("#use-as-label").click()
    page.wait_for_selector("#sources [aria-pressed=true]:text('Label')")
    np.testing.assert_array_equal(label(page), label(page, "prediction"))
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(label(page), truth)


def test_two_labels_side_by_side(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)
    clear(page)
    page.locator("#compare").select_option("truth")
    truth = np.asarray(Image.open(data / "masks" / "tile_0.png"))
    row, column = np.argwhere(truth == 2)[0]
    box = page.locator(".pane canvas").nth(1).bounding_box()
    zoom = min((box["width"] - 8) / 64, (box["height"] - 8) / 48)
    page.mouse.move(
        box["x"] + box["width"] / 2 + (column + 0.5 - 32) * zoom, box["y"] + box["height"] / 2 + (row + 0.5 - 24) * zoom
    )
    expect(page.locator("#place")).to_have_text(re.compile(f"x {column}  y {row} .* blue$"))
    page.locator("#compare").select_option("")
    page.locator("#sources :text('Truth')").click()
    page.locator("#compare").select_option("edit")
    page.keyboard.press("l")
    panes = [page.locator(".pane canvas").nth(index) for index in range(2)]
    before = [pane.screenshot() for pane in panes]
    panes[1].click()
    page.mouse.move(0, 0)
    assert [pane.screenshot() == shot for pane, shot in zip(panes, before, strict=True)] == [True, False]


def test_the_most_uncertain_case_comes_first(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.locator("#predict-all").click()
    page.wait_for_selector("#notes :text('Predictions are done')", timeout=60_000)
    page.locator("#order").select_option("uncertain")
    origin = page.url.partition("#")[0]
    rows = page.request.get(f"{origin}api/project").json()["cases"]
    expected = [row["name"] for row in sorted(rows, key=lambda row: -row["uncertainty"])]
    expect(page.locator(".case-name")).to_have_text(expected)
    page.locator("#search").fill("tile_3")
    expect(page.locator(".case-name")).to_have_text(["tile_3"])


def test_what_is_saved_is_in_the_data_set_and_drafts_outlive_the_page(
    server: PageServer, browse: Browse, data: Path
) -> None:
    page = browse(server)
    truth = label(page)[0]
    page.keyboard.press("d")
    page.keyboard.press("1")
    drag(page, (0, 0), (30, 0))
    saved = label(page)[0]
    page.keyboard.press("Control+s")
    page.wait_for_selector("#notes :text('Saved as')")
    np.testing.assert_array_equal(np.asarray(Image.open(data / "masks" / "tile_0.png")), saved)
    copies = [np.asarray(Image.open(path)) for path in (data / ".samtailor").rglob("*.png")]
    assert any(np.array_equal(copy, truth) for copy in copies)
    drag(page, (0, 40), (30, 40))
    draft = label(page)[0]
    assert not np.array_equal(draft, saved)
    page.reload()
    ready(page)
    np.testing.assert_array_equal(label(page)[0], draft)
    expect(page.locator("#cases li").first).to_contain_text("edited")
    np.testing.assert_array_equal(np.asarray(Image.open(data / "masks" / "tile_0.png")), saved)


def test_what_was_saved_is_the_truth_and_is_not_edited(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    truth, row, of_truth = page.locator("#sources :text('Truth')"), page.locator("#cases li").first, "**/label?of=truth"
    with page.expect_request(of_truth):
        truth.click()
    page.locator("#sources :text('Label')").click()
    page.keyboard.press("d")
    drag(page, (0, 0), (30, 0))
    expect(row).to_contain_text("edited")
    page.keyboard.press("Control+s")
    page.wait_for_selector("#notes :text('Saved as')")
    expect(row).not_to_contain_text("edited")
    expect(page.locator("#sync")).to_have_text("Saved in masks/tile_0.png")
    with page.expect_request(of_truth):
        truth.click()
    np.testing.assert_array_equal(label(page, "truth"), label(page))
    page.locator("#sources :text('Label')").click()
    clear(page)
    expect(row).to_contain_text("edited")
    truth.click()
    page.locator("#use-as-label").click()
    synced(page)
    np.testing.assert_array_equal(label(page, "truth"), label(page))
    expect(row).not_to_contain_text("edited")
    expect(page.locator("#sync")).to_have_text("Saved in masks/tile_0.png")


def test_a_case_that_is_changed_on_another_page_is_opened_again(server: PageServer, browse: Browse) -> None:
    first, second = browse(server), browse(server)
    for page in (first, second):
        page.keyboard.press("d")
        page.keyboard.press("1")
    drag(first, (0, 0), (30, 0))
    there = label(first)
    drag(second, (0, 40), (30, 40))
    second.wait_for_selector("#errors :text('changed elsewhere')")
    browse.forgive("412")
    ready(second)
    np.testing.assert_array_equal(label(second), there)
    drag(second, (0, 40), (30, 40))
    both = label(second)
    assert (both != there).any()
    assert (both[there == 1] == 1).all()
    first.keyboard.press("Control+s")
    first.wait_for_selector("#errors :text('changed elsewhere')")
    browse.forgive("412")
    np.testing.assert_array_equal(label(first), both)
    drag(first, (0, -40), (30, -40))
    second.locator("#predict").click()
    second.wait_for_selector("#notes :text('Predicted in')")
    ready(second)
    expect(second.locator("#undo")).to_be_disabled()  # it would take away what the first has painted


def test_edits_wait_while_the_server_cannot_be_reached(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    before = label(page)
    page.keyboard.press("d")
    page.route("**/api/cases/*/label?box=*", lambda route: route.abort())
    drag(page, (0, 0), (30, 0))
    drag(page, (0, 40), (30, 40))
    page.wait_for_selector("#sync:text('Offline: 2 edits wait')")
    page.wait_for_selector("#notes :text('cannot be reached')")
    page.unroute("**/api/cases/*/label?box=*")
    page.route("**/api/cases/*/label?box=*", lambda route: route.fulfill(status=401, json={"error": "the token"}))
    page.wait_for_selector("#notes :text('open the new address')")
    page.locator("#notes [aria-label='Close message']").click()
    page.locator("#retry").click()
    page.wait_for_selector("#notes :text('open the new address')")
    page.unroute("**/api/cases/*/label?box=*")
    page.locator("#retry").click()
    synced(page)
    assert (label(page) != before).any()
    browse.forgive("ERR_FAILED")
    browse.forgive("401")


def test_predictions_in_the_background_can_be_stopped_on_every_page(
    server: PageServer, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (browse(server) for _ in range(3))
    predict = Project.predict

    def slowly(project: Project, number: int) -> float:
        sleep(0.7)
        return predict(project, number)

    monkeypatch.setattr(Project, "predict", slowly)
    first.locator("#predict-all").click()
    second.locator("#predict-all").click()
    third.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    for page in (second, third):
        expect(page.locator("#predict-all")).to_contain_text("Stop")
    third.locator("#predict-all").click()
    first.wait_for_selector("#notes :text('Stopped after')")
    for page in (second, third):
        expect(page.locator("#predict-all")).to_have_text("Predict all")
    browse.forgive("409")


def test_an_answer_for_a_case_that_was_opened_again_is_not_hidden(server: PageServer, browse: Browse) -> None:
    """What the page shows is what the server has, though the answer belongs to what was on the page before."""
    page = browse(server)
    name = page.locator("#facts").inner_text().split()[0]
    clear(page)
    page.keyboard.press("p")
    page.keyboard.press("1")
    waiting: list[Any] = []
    page.route("**/api/cases/*/prompt", lambda route: waiting.append(route))
    x, y = canvas(page)
    page.mouse.click(x, y)
    page.wait_for_selector("body.busy")
    while not waiting:
        page.wait_for_timeout(20)
    page.keyboard.press("n")
    expect(page.locator("#facts")).not_to_contain_text(name)
    page.locator("#cases li", has_text=name).first.click()
    expect(page.locator("#facts")).to_contain_text(name)
    waiting[0].continue_()
    page.unroute("**/api/cases/*/prompt")
    ready(page)
    page.wait_for_timeout(500)
    ready(page)
    given = label(page)
    assert given.any()
    counts = page.locator("#classes .class-count").all_inner_texts()
    assert counts[1] == f"{(given == 1).sum():,} px"


def predicted_then_next(page: Page) -> Page:
    """The message of a prediction of tile_0 is there, and tile_1 is opened."""
    page.keyboard.press("r")
    page.wait_for_selector("#notes :text('Predicted in')")
    page.keyboard.press("n")
    opened(page, "tile_1")
    return page


def test_a_button_in_a_message_is_about_its_own_case(server: PageServer, browse: Browse) -> None:
    page = predicted_then_next(browse(server))
    before = label(page)
    page.locator("#notes button", has_text="Use as label").click()
    page.wait_for_selector("#notes :text('Open tile_0 again first')")
    np.testing.assert_array_equal(label(page), before)


def test_a_button_in_a_message_works_where_its_case_is_open_again(server: PageServer, browse: Browse) -> None:
    page = predicted_then_next(browse(server))
    page.keyboard.press("Shift+N")
    opened(page, "tile_0")
    page.locator("#notes button", has_text="Use as label").click()
    page.wait_for_selector("#undo:not([disabled])")
    np.testing.assert_array_equal(label(page), label(page, "prediction"))


def test_what_cannot_be_opened_is_marked_in_the_list(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)
    (data / "images" / "tile_1.png").write_bytes(b"no picture")
    page.locator("#cases li", has_text="tile_1").click()
    expect(page.locator("#cases li", has_text="tile_1")).to_contain_text("failed")
    page.reload()
    ready(page)
    expect(page.locator("#cases li", has_text="tile_1")).to_contain_text("failed")
    browse.forgive("422")


def test_a_stroke_counts_on_what_has_been_predicted_meanwhile(
    data: Path, browse: Browse, request: pytest.FixtureRequest
) -> None:
    """The prediction becomes the label of a case that has none, on the server and on the page alike."""
    (data / "masks" / "tile_0.png").unlink()
    page = browse(request.getfixturevalue("server"))
    page.locator("#cases li", has_text="tile_0").first.click()
    opened(page, "tile_0")
    assert not label(page).any()
    page.locator("#predict-all").click()
    page.wait_for_selector("#notes :text('Predictions are done')")
    ready(page)
    expect(page.locator("#cases li", has_text="tile_0")).not_to_contain_text("edited")
    predicted = label(page, "prediction")
    page.keyboard.press("d")
    page.keyboard.press("1")
    drag(page, (0, 0), (20, 0))
    painted = label(page)
    changed = painted != predicted
    assert changed.any()
    assert set(np.unique(painted[changed])) == {1}
    counts = page.locator("#classes .class-count").all_inner_texts()
    assert counts[1] == f"{(painted == 1).sum():,} px"
