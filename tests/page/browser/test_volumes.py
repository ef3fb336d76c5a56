"""Volumes: three planes, interpolation, window and level."""

from __future__ import annotations

import numpy as np
import pytest

from tests.page.browser.screen import canvas, clear, colour, drag, expect, label
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse

pytestmark = pytest.mark.browser


def test_a_volume_has_three_planes_that_share_label_and_crosshair(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    assert [pane.get_attribute("data-plane") for pane in page.locator(".pane").all()] == [
        "axial",
        "coronal",
        "sagittal",
    ]
    clear(page)
    page.keyboard.press("v")
    expect(page.locator(".pane").first).to_have_attribute("data-plane", "coronal")
    page.keyboard.press("d")
    for _ in range(15):
        page.keyboard.press("[")
    x, y = canvas(page)
    page.mouse.click(x, y)
    painted = label(page)
    _, height, width = painted.shape
    z, row, column = np.argwhere(painted)[0]
    assert (painted != 0).sum() == 1
    assert (row, column) == (height // 2, width // 2)
    place = page.locator("#place").inner_text()
    assert f"x {column}  y {row}  slice {z + 1}" in place


def test_the_wheel_turns_slices_and_a_click_links_the_planes(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    slices = page.locator("#slice-number")
    first = int(slices.inner_text().split()[0])
    x, y = canvas(page)
    page.mouse.move(x, y)
    page.mouse.wheel(0, 100)
    expect(slices).to_contain_text(f"{first + 1} /")
    page.mouse.click(x - 100, y + 100)
    place = [int(word) for word in page.locator("#place").inner_text().split() if word.isdigit()]
    for pane, title in ((1, f"coronal {place[1] + 1}"), (2, f"sagittal {place[0] + 1}")):
        expect(page.locator(".pane-title").nth(pane)).to_have_text(title)


def test_prompts_are_for_the_axial_plane_and_the_page_says_so(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    before = label(page)
    page.keyboard.press("v")
    page.keyboard.press("p")
    drag(page, (0, 0), (0, 0))
    expect(page.locator("#notes")).to_contain_text("axial")
    np.testing.assert_array_equal(label(page), before)


def test_slices_between_two_are_interpolated(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    clear(page)
    page.keyboard.press("d")
    page.keyboard.press("1")
    page.locator(".pane canvas").first.focus()
    depth = label(page).shape[0]
    for _ in range(depth):
        page.keyboard.press("PageDown")
    page.keyboard.press("Enter")
    for _ in range(depth):
        page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    drawn = (label(page) == 1).sum(axis=(1, 2))
    assert drawn[0] == drawn[-1] > 0
    assert not drawn[1:-1].any()
    page.keyboard.press("PageDown")
    expect(page.locator("#from-slice")).to_have_value("1")
    expect(page.locator("#to-slice")).to_have_value(str(depth))
    page.locator("#interpolate").click()
    expect(page.locator("#place")).to_contain_text("liver")
    assert ((label(page) == 1).sum(axis=(1, 2)) > 0).all()


def test_the_window_is_set_by_numbers_and_by_a_right_drag(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    page.locator("#level").fill("40")
    page.locator("#width").fill("400")
    page.keyboard.press("Tab")
    page.locator("#concealed").check()
    value = float(page.locator("#place").inner_text().split()[6])
    grey = round(np.clip((value + 160) / 400, 0, 1) * 255)
    assert colour(page) == [grey] * 3
    x, y = canvas(page)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 50, y + 30, steps=4)
    page.mouse.up(button="right")
    assert float(page.locator("#width").input_value()) > 400
    assert float(page.locator("#level").input_value()) == pytest.approx(80, abs=1)


def test_a_stroke_stays_in_the_slice_that_is_shown(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    clear(page)
    page.keyboard.press("d")
    page.keyboard.press("1")
    slices = page.locator("#slice-number")
    shown = slices.inner_text()
    x, y = canvas(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=3)
    page.mouse.wheel(0, 100)
    page.keyboard.press("PageUp")
    page.mouse.move(x + 40, y, steps=3)
    expect(slices).to_have_text(shown)
    page.mouse.up()
    page.mouse.wheel(0, 100)
    expect(slices).not_to_have_text(shown)
    drawn = np.flatnonzero(label(page).any(axis=(1, 2)))
    assert drawn.tolist() == [int(shown.split()[0]) - 1]
