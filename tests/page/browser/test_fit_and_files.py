"""Fitting again, and files from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import generate
from tests.page.browser.screen import canvas, expect, label, opened
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse

pytestmark = pytest.mark.browser


def test_a_fit_shows_old_and_new_side_by_side(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.locator("#predict").click()
    page.wait_for_selector("#notes :text('Predicted in')")
    page.locator("#fit").click()
    page.locator("#fit-time").fill("10m")
    page.locator("#fit-start").click()
    page.wait_for_selector("#fit-progress:not([hidden])")
    page.wait_for_selector("#fit:text-matches('^Fitting (…|[0-9]+ %)$')")
    page.locator("#fit-close").click()
    page.locator("text=Compare old and new").click(timeout=180_000)
    page.wait_for_selector("#panes[data-layout=pair]")
    expect(page.locator(".pane-title")).to_have_text(["prediction", "before"])
    assert label(page, "before").shape == label(page, "prediction").shape


def test_a_file_from_elsewhere_is_opened_predicted_and_downloaded(
    server: PageServer, browse: Browse, tmp_path: Path
) -> None:
    page = browse(server)
    file = tmp_path / "elsewhere.png"
    Image.fromarray(generate.picture((40, 72), 99)[0]).save(file)
    page.locator("#file").set_input_files(file)
    page.wait_for_selector("#notes :text('Predicted in')")
    expect(page.locator("#cases li")).to_have_count(7)
    assert page.locator("#facts").inner_text().startswith("elsewhere · 72 \N{MULTIPLICATION SIGN} 40")
    expect(page.locator("#save")).to_be_disabled()
    shown = label(page)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "elsewhere.png"
    download.value.save_as(tmp_path / "label.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "label.png")), shown[0])


def test_a_file_can_be_dropped_on_the_page(server: PageServer, browse: Browse, tmp_path: Path) -> None:
    page = browse(server)
    Image.fromarray(generate.picture((40, 72), 99)[0]).save(tmp_path / "dropped.png")
    content = list((tmp_path / "dropped.png").read_bytes())
    transfer = page.evaluate_handle(
        """content => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "dropped.png"));
          return data;
        }""",
        content,
    )
    page.dispatch_event("#stage", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})
    opened(page, "dropped")
    expect(page.locator("#drop")).not_to_be_visible()


def test_a_file_that_is_no_image_is_refused_in_words(server: PageServer, browse: Browse, tmp_path: Path) -> None:
    page = browse(server)
    (tmp_path / "notes.png").write_text("no picture")
    page.locator("#file").set_input_files(tmp_path / "notes.png")
    expect(page.locator("#errors .message span")).to_have_text(re.compile(r"^notes\.png: expected a readable picture"))
    page.evaluate("void (Blob.prototype.slice = () => { throw new Error(); })")  # of files that have gone
    page.locator("#file").set_input_files(tmp_path / "notes.png")
    expect(page.locator("#errors")).to_contain_text("notes.png: expected a file that can be read")
    assert page.locator("#cases li").count() == 6
    browse.forgive("422")


def test_a_folder_that_is_dropped_is_refused_in_words_and_files_beside_it_are_opened(
    server: PageServer, browse: Browse, data: Path
) -> None:
    page = browse(server)
    x, y = canvas(page)
    dropped = {
        "items": [],
        "files": [str(data / "masks"), str(data / "images" / "tile_3.png")],
        "dragOperationsMask": 1,
    }
    tools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        tools.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": dropped})
    expect(page.locator("#cases li")).to_have_count(7)
    expect(page.locator("#errors .message span")).to_have_text(re.compile("^masks: expected a file, found a folder"))


def test_the_time_of_a_fit_is_given_by_enter(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.locator("#fit").click()
    page.locator("#fit-time").fill("soon")
    page.keyboard.press("Enter")
    expect(page.locator("#fit-error")).to_contain_text("soon")
    page.locator("#fit-close").click()
    page.locator("#fit").click()
    expect(page.locator("#fit-error")).to_be_empty()
    browse.forgive("400")
