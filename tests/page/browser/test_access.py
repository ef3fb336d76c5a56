"""Names that hold markup, the keyboard alone, screen readers, phones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.page.browser.screen import (
    CLASSES,
    EVIL,
    PHONE,
    WIDE,
    canvas,
    choose,
    drag,
    expect,
    label,
    opened,
    ready,
    synced,
)
from tests.page.browser.served import PageServer
from tests.page.browser.visit import Browse

pytestmark = pytest.mark.browser


def test_the_printed_address_works_as_a_link_on_another_site(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.context.clear_cookies()
    link = f'<a href="{server.address}">the page</a>'
    page.route("http://elsewhere.test/*", lambda route: route.fulfill(body=link, content_type="text/html"))
    page.goto("http://elsewhere.test/")
    page.locator("a").click()
    ready(page)
    page.reload()
    ready(page)
    browse.forgive("elsewhere.test")


def test_names_are_text_whatever_they_hold(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    choose(page, "tile_5")
    assert page.locator("#facts").inner_text().startswith(f"tile_5 {EVIL}")
    assert page.locator("#classes .class-name").all_inner_texts() == CLASSES
    assert page.locator("img[src=x]").count() == 0


def test_all_of_it_works_with_the_keyboard_alone(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached")

    tab_to("#cases li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    opened(page, "tile_1")
    before = label(page)[0]
    tab_to(".pane canvas")
    page.keyboard.press("d")
    page.keyboard.press("2")
    for _ in range(15):
        page.keyboard.press("[")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    painted = label(page)[0]
    expected = before.copy()
    expected[23, 22] = 2
    np.testing.assert_array_equal(painted, expected)
    page.keyboard.press("Control+s")
    page.wait_for_selector("#notes :text('Saved as')")
    np.testing.assert_array_equal(np.asarray(Image.open(data / "masks" / "tile_1.png")), expected)
    page.keyboard.press("?")
    assert page.locator("#help-dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    opened(page, "tile_2")


def test_every_control_has_a_name(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    nameless = page.evaluate("""() => {
      const controls = "button, input:not([type=file]), select, canvas, [role=listbox], [role=radiogroup], dialog";
      const isNamed = (node) => node.getAttribute("aria-label") || node.getAttribute("aria-labelledby")
        || node.labels?.length || node.textContent.trim();
      return [...document.querySelectorAll(controls)].filter((node) => !isNamed(node)).map((node) => node.outerHTML);
    }""")
    assert nameless == []


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_cut_at_the_side(server: PageServer, browse: Browse, viewport: dict[str, int]) -> None:
    page = browse(server, viewport)
    page.keyboard.press("d")
    for tab in page.locator("#tabs button").all():
        if tab.is_visible():
            tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        outside = page.evaluate("""() => {
          const isCut = (node) => {
            const box = node.getBoundingClientRect();
            return node.checkVisibility() && (box.left < -1 || box.right > innerWidth + 1);
          };
          const shown = document.querySelectorAll("button, input, select, .chip, h2");
          return [...shown].filter(isCut).map((node) => node.outerHTML);
        }""")
        assert outside == []


def test_the_list_of_cases_stays_where_it_is_scrolled_to_and_the_page_does_not_move(
    server: PageServer, browse: Browse
) -> None:
    page = browse(server, {"width": 740, "height": 360})
    page.keyboard.press("d")
    drag(page, (-20, 0), (20, 0))
    expect(page.locator("#cases li").first).to_contain_text("edited")
    assert page.evaluate("scrollY") == 0
    scrolled = page.evaluate("""() => {
      const list = document.getElementById("cases");
      list.scrollTop = 1000;
      document.getElementById("predict-all").click();
      return list.scrollTop;
    }""")
    assert scrolled > 0
    page.wait_for_selector("#notes :text('Predictions are done')", timeout=60_000)
    assert page.evaluate("[document.getElementById('cases').scrollTop, scrollY]") == [scrolled, 0]
    page.keyboard.press("Shift+N")
    opened(page, "tile_5")
    page.keyboard.press("n")
    opened(page, "tile_0")
    assert page.evaluate("[document.getElementById('cases').scrollTop, scrollY]") == [0, 0]


def test_keys_that_are_typed_or_released_elsewhere(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    concealed = page.locator("#concealed")
    concealed.check()
    page.locator("#search").press_sequentially("x")
    expect(concealed).to_be_checked()
    concealed.uncheck()
    concealed.blur()
    page.keyboard.down("x")
    expect(concealed).to_be_checked()
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(concealed).not_to_be_checked()
    page.keyboard.up("x")
    page.keyboard.press("d")
    for key, size in (("[", 10), ("]", 13)):  # with Option, as a German Mac has them
        page.evaluate(
            "key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, altKey: true, bubbles: true }))",
            key,
        )
        expect(page.locator("#brush-number")).to_contain_text(str(size))


def test_a_case_is_opened_by_its_address(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.evaluate("location.hash = '#case-2'")
    opened(page, "tile_2")


PEN, FINGER, PALM = ("down", "pen", -60, 0), ("down", "touch", 0, 60), ("down", "palm", 30, 70)


@pytest.mark.parametrize("down", [(PEN, FINGER), (FINGER, PEN), (FINGER, PALM, PEN)], ids=["pen", "hand", "palm"])
def test_a_pen_paints_though_the_hand_lies_on_the_canvas(
    server: PageServer, browse: Browse, down: tuple[tuple[str, str, int, int], ...]
) -> None:
    page = browse(server)
    page.keyboard.press("d")
    page.keyboard.press("2")
    drag(page, (-60, 0), (60, 0), (80, 0))
    by_mouse = label(page)
    page.keyboard.press("Control+z")
    synced(page)
    events = [("move", "touch", 40, 80), ("move", "pen", 60, 0), ("up", "touch", 40, 80), ("move", "pen", 80, 0)]
    page.locator(".pane canvas").first.evaluate(
        """(canvas, events) => {
          const { x, y, width, height } = canvas.getBoundingClientRect();
          for (const [kind, what, dx, dy] of events) {
            const place = { clientX: x + width / 2 + dx, clientY: y + height / 2 + dy };
            const pointerId = { pen: 7, touch: 8, palm: 9 }[what];
            const pointer = { pointerType: what === "pen" ? "pen" : "touch", pointerId, bubbles: true };
            canvas.dispatchEvent(new PointerEvent(`pointer${kind}`, { ...pointer, ...place }));
          }
        }""",
        [*down, *events, ("up", "pen", 80, 0)],
    )
    np.testing.assert_array_equal(label(page), by_mouse)


def test_fingers_paint_and_two_of_them_zoom(server: PageServer, browse: Browse) -> None:
    page = browse(server, PHONE, has_touch=True, is_mobile=True)
    before = label(page)
    page.locator("[data-tool=brush]").tap()
    page.locator("[data-tab=classes]").tap()
    page.locator(".class-choose").nth(2).tap()
    x, y = canvas(page)
    page.touchscreen.tap(x, y)
    painted = label(page)
    assert (painted != before).any()
    touch = page.context.new_cdp_session(page)

    def touched(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x + dx, "y": y + dy, "id": i} for i, (dx, dy) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touched("touchStart", (-20, 0), (20, 0))
    for wide in (30, 50, 80):
        touched("touchMove", (-wide, 0), (wide, 0))
    touched("touchEnd")
    np.testing.assert_array_equal(label(page), painted)
    page.touchscreen.tap(x + 40, y)
    after = label(page) != painted
    columns = np.nonzero(after)[2]
    assert columns.size
    assert (
        columns.max() - 32 < 40 / 5
    )  # four times as large as before: forty pixels of the screen are fewer of the image
