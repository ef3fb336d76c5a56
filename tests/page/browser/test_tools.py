"""Tools: what they paint, and what undo brings back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samtailor.models.zoo import Base
from tests import generate_scenes
from tests.page.browser.screen import Page, canvas, clear, drag, expect, label, opened
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse

pytestmark = pytest.mark.browser


def test_a_brush_stroke_is_on_the_server_and_can_be_undone_and_redone(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    before = label(page)
    page.keyboard.press("d")
    page.keyboard.press("2")
    drag(page, (-60, 0), (60, 10))
    painted = label(page)
    changed = painted != before
    assert changed.any()
    assert set(np.unique(painted[changed])) == {2}
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(label(page), before)
    page.keyboard.press("Control+Shift+z")
    np.testing.assert_array_equal(label(page), painted)
    page.keyboard.press("e")
    drag(page, (-60, 0), (60, 10))
    assert not label(page)[changed].any()


def test_a_lasso_is_filled_and_fill_replaces_what_is_connected(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    clear(page)
    page.keyboard.press("l")
    page.keyboard.press("1")
    drag(page, (-80, -80), (80, -80), (80, 80), (-80, 80), (-80, -70))
    drawn = label(page)[0]
    rows, columns = np.nonzero(drawn == 1)
    assert (drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 1).mean() > 0.9
    page.keyboard.press("f")
    page.keyboard.press("2")
    page.mouse.move(*canvas(page))
    page.mouse.down()
    page.keyboard.press("Escape")
    page.mouse.up()
    np.testing.assert_array_equal(label(page)[0], drawn)
    drag(page, (0, 0), (0, 0))
    np.testing.assert_array_equal(label(page)[0], 2 * drawn)


def with_corners(page: Page) -> tuple[float, float]:
    """Set three corners of a lasso on an empty label; gives where the middle of the canvas is."""
    clear(page)
    page.keyboard.press("l")
    x, y = canvas(page)
    for dx, dy in ((-60, -60), (60, -60), (60, 60)):
        page.mouse.click(x + dx, y + dy)
        page.wait_for_timeout(500)  # or it is a double click
    return x, y


@pytest.mark.parametrize("ends", ["Escape", "2", "d"])
def test_a_lasso_that_is_forgotten_while_it_is_pressed_leaves_nothing(
    server: PageServer, browse: Browse, ends: str
) -> None:
    page = browse(server)
    x, y = with_corners(page)
    page.mouse.move(x - 60, y + 60)
    page.mouse.down()
    page.keyboard.press(ends)
    page.mouse.move(x - 60, y)
    page.mouse.up()
    assert not label(page).any()
    page.keyboard.press("l")
    drag(page, (-80, -80), (80, -80), (80, 80), (-80, 80), (-80, -70))
    assert label(page).any()


def test_a_lasso_is_not_closed_where_the_truth_is_shown(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    x, y = with_corners(page)
    page.locator("#sources button", has_text="Truth").click()
    expect(page.locator("#sources [aria-pressed=true]")).to_have_text("Truth")
    page.mouse.dblclick(x, y + 90)
    page.wait_for_selector("#notes :text('Tools change the label')")
    assert not label(page).any()


def test_the_next_case_ends_a_stroke_and_keeps_what_can_be_undone(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.keyboard.press("d")
    drag(page, (-60, 0), (60, 10))
    before = label(page)
    x, y = canvas(page)
    page.mouse.move(x - 60, y + 60)
    page.mouse.down()
    page.mouse.move(x, y + 60, steps=4)
    page.keyboard.press("n")
    opened(page, "tile_1")
    page.mouse.up()
    page.keyboard.press("Shift+N")
    opened(page, "tile_0")
    np.testing.assert_array_equal(label(page), before)
    expect(page.locator("#undo")).to_be_enabled()


@pytest.mark.parametrize("size", [8, 64])
def test_zooming_in_enlarges_pictures_of_any_size(server: PageServer, browse: Browse, size: int) -> None:
    before, after = browse(server).evaluate(
        """async size => {
          const { Camera } = await import("/camera.js");
          const plane = { width: size, height: size, size: [1, 1] };
          const camera = new Camera();
          camera.fit(plane, 800, 800);
          const before = camera.zoom;
          camera.zoomAt(1.25, [400, 400], plane, 800, 800);
          return [before, camera.zoom];
        }""",
        size,
    )
    assert after > before


def test_what_holds_nothing_is_not_painted(browse: Browse, tmp_path: Path, tiny_base: Base) -> None:
    data = generate_scenes.scene_folder(tmp_path / "scenes", count=3)
    with PageServer(None, data, Path(str(tiny_base.weights))) as server:
        page = browse(server)
        before = label(page)
        assert (before[:, : generate_scenes.EMPTY_ROWS] == 255).all()
        page.keyboard.press("d")
        page.keyboard.press("2")
        box = page.locator(".pane canvas").first.bounding_box()
        _, height, width = before.shape
        top = (1.5 - height / 2) * min((box["width"] - 8) / width, (box["height"] - 8) / height)
        drag(page, (0, top), (20, top), (20, 0))
        painted = label(page)
        assert (painted != before).any()
        assert (painted[:, : generate_scenes.EMPTY_ROWS] == 255).all()
        count = page.locator("#classes .class-count").nth(2)
        expect(count).to_have_attribute("title", f"{(painted == 2).sum():,} pixels")
        page.keyboard.press("f")
        drag(page, (0, top), (0, top))
        page.wait_for_selector("#notes :text('holds nothing here')")
        np.testing.assert_array_equal(label(page), painted)


def test_a_click_gives_the_class_and_takes_it(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    clear(page)
    page.keyboard.press("p")
    page.keyboard.press("1")
    x, y = canvas(page)
    page.mouse.click(x, y)
    page.wait_for_selector("#undo:not([disabled])")
    given = label(page)
    assert given[0, 24, 32] == 1
    page.mouse.click(x, y, button="right")
    page.wait_for_selector("#undo:not([disabled])")
    expect(page.locator("#place")).not_to_contain_text("green")
    assert label(page)[0, 24, 32] != 1


def test_what_undo_keeps_is_unpacked_as_it_was(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    differences = page.evaluate("""async () => {
      const { pack, unpack } = await import("/packed.js");
      const runs = Uint8Array.from({ length: 4000 }, (_, i) => (i < 7 ? 3 : Math.floor(i / 900)));
      const noise = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7919) % 251);
      const differ = (content) => {
        const back = unpack(pack(content));
        return back.length - content.length || back.findIndex((value, i) => value !== content[i]) + 1;
      };
      return [runs, noise, new Uint8Array(1)].map(differ).concat(pack(runs).values.length);
    }""")
    assert differences == [0, 0, 0, 6]


def test_the_brush_is_round_in_the_world_and_covers_what_it_passes(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    pixels = page.evaluate("""async () => {
      const { line } = await import("/shapes.js");
      const drawn = (a, b, size) => {
        const found = new Map();
        line(a, b, 5, size, (u, v) => found.set(`${u},${v}`, [u, v]));
        return [...found.values()];
      };
      return [drawn([20.5, 20.5], [20.5, 20.5], [1, 2.5]), drawn([10.5, 10.5], [40.5, 10.5], [1, 1])];
    }""")
    disc, stroke = (np.array(found) for found in pixels)
    assert (np.ptp(disc, axis=0) + 1).tolist() == [11, 5]
    assert {(u, 10) for u in range(6, 46)} <= set(map(tuple, stroke.tolist()))
    assert len(stroke) == pytest.approx(30 * 11 + np.pi * 25, abs=12)


def test_while_a_tool_is_pressed_nothing_is_undone_and_other_panes_end_it(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    clear(page)
    page.keyboard.press("d")
    page.keyboard.press("1")
    drag(page, (-60, -60), (-40, -60))
    first = label(page)
    x, y = canvas(page)
    page.mouse.move(x + 40, y + 40)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=3)
    page.keyboard.press("Control+z")  # says nothing to the stroke, nor to the one before
    page.mouse.up()
    both = label(page)
    assert (both[first > 0] == 1).all()
    assert (both > 0).sum() > (first > 0).sum()
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(label(page), first)
    page.keyboard.press("r")
    page.wait_for_selector("#notes :text('Predicted in')")
    page.wait_for_selector("body:not(.busy)")
    page.locator("#sources button", has_text="Label").click()
    x, y = canvas(page)
    page.mouse.move(x + 40, y + 40)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=3)
    page.keyboard.press("c")  # two panes beside each other: the one that was painted in is gone
    page.wait_for_selector(".pane >> nth=1")
    page.mouse.up()
    np.testing.assert_array_equal(label(page), first)
