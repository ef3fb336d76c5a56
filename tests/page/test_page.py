"""The page in a real browser, Chromium without a window, served with a small real segmenter."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from samtailor.files import write_json
from samtailor.models.zoo import Base
from samtailor.recipes import LoRA
from samtailor.training.settings import OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.train import train
from tests import generate
from tests.app.page_server import PageServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
]
EVIL = "<img src=x onerror=alert(1)>"
CLASSES = ["background", f"green {EVIL}", "blue"]
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 400, "height": 850}
PATIENCE = 15_000  # ms: the machine may be busy
Page = Any
Browse = Callable[..., Page]


@pytest.fixture(scope="session")
def fitted(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, pictures whose names hold markup, and `run`, fitted to them; not to be changed."""
    root = tmp_path_factory.mktemp("page")
    data = generate.image_folder(root / "data", cases=6, size=(48, 64))
    write_json(data / "dataset.json", {"classes": CLASSES, "palette": generate.PICTURE_PALETTE})
    for folder in ("images", "masks"):
        (data / folder / "tile_5.png").rename(data / folder / f"tile_5 {EVIL}.png")
    config = TrainConfig(
        data=str(data),
        out=str(root / "run"),
        base=tiny_base.name,
        recipe=LoRA(rank=2),
        epochs=1,
        batch_size=4,
        sampling=SamplingConfig(image_size=32),
        optim=OptimConfig(lr=1e-3),
        device="cpu",
    )
    train(**vars(config))
    return root


@pytest.fixture
def data(fitted: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(fitted / "data", tmp_path / "data"))


@pytest.fixture
def server(fitted: Path, data: Path, tiny_base: Base) -> Iterator[PageServer]:
    assert tiny_base.weights is not None
    with PageServer(fitted / "run", data, Path(str(tiny_base.weights))) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browse(browser: Any) -> Iterator[Browse]:
    """Opens the page of a server; in the end it has asked no other host, and neither failed nor complained."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(server: PageServer, viewport: dict[str, int] = WIDE, **options: Any) -> Page:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        own = f"http://127.0.0.1:{server.port}/"
        page.on("request", lambda request: request.url.startswith((own, "blob:", "data:")) or complain(request.url))
        page.on("console", lambda message: message.type in ("error", "warning") and complain(message.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("dialog", lambda dialog: (complain(dialog.message), dialog.dismiss()))
        page.goto(server.address)
        ready(page)
        return page

    def complain(text: str) -> None:
        complaints.append(text)

    opened.complaints = complaints  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def ready(page: Page) -> None:
    """Wait until a case is on the canvas and nothing is waited for."""
    page.wait_for_selector('#stage[data-state="open"] .pane canvas')
    page.wait_for_selector("body:not(.busy)")


def synced(page: Page) -> None:
    """Wait until all edits are on the server."""
    page.wait_for_selector('#sync[data-state="safe"]', state="attached")
    page.wait_for_selector("body:not(.busy)")


def case_id(page: Page) -> int:
    return int(page.url.rpartition("-")[2])


def label(page: Page, of: str = "edit") -> NDArray[np.uint8]:
    """A label of the case that is open, as the server has it."""
    synced(page)
    number = case_id(page)
    origin = page.url.partition("#")[0]
    shape = page.request.post(f"{origin}api/cases/{number}/open", headers={"Origin": origin.rstrip("/")}).json()["shape"]
    body = page.request.get(f"{origin}api/cases/{number}/label?of={of}").body()
    return np.frombuffer(body, np.uint8).reshape(shape)


def canvas(page: Page) -> tuple[float, float]:
    """The middle of the large canvas on the screen."""
    box = page.locator(".pane canvas").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Press at the first place, relative to the middle of the canvas, and release at the last."""
    x, y = canvas(page)
    page.mouse.move(x + places[0][0], y + places[0][1])
    page.mouse.down()
    for dx, dy in places[1:]:
        page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def opened(page: Page, name: str) -> None:
    """Wait until a case is on the canvas."""
    sync_api.expect(page.locator("#facts")).to_contain_text(name, timeout=PATIENCE)
    ready(page)


def clear(page: Page) -> None:
    """Empty the label."""
    page.locator("#clear-label").click()
    sync_api.expect(page.locator("#sync")).to_have_text("Saved as draft", timeout=PATIENCE)
    synced(page)
    assert not label(page).any()


def choose(page: Page, name: str) -> None:
    """Open a case of the list by its name."""
    page.locator("#cases li", has_text=name).first.click()
    opened(page, name)


def test_the_first_case_is_open_with_its_truth_as_label(server: PageServer, browse: Browse, data: Path) -> None:
    page = browse(server)
    assert page.locator("#cases li").count() == 6
    assert page.locator("#facts").inner_text().startswith("tile_0")
    truth = np.asarray(Image.open(data / "masks" / "tile_0.png"))
    np.testing.assert_array_equal(label(page)[0], truth)
    counts = page.locator("#classes .class-count").all_inner_texts()
    assert counts[1:] == [f"{(truth == k).sum():,} px" for k in (1, 2)]


def colour(page: Page) -> list[int]:
    """Red, green and blue in the middle of the large canvas, a little beside the border of pixels."""
    page.wait_for_timeout(200)  # drawn with the next frame
    x, y = canvas(page)
    shot = page.screenshot(clip={"x": round(x) + 3, "y": round(y) + 3, "width": 1, "height": 1})
    return list(Image.open(io.BytesIO(shot)).convert("RGB").getpixel((0, 0)))


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


def test_names_are_text_whatever_they_hold(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    choose(page, "tile_5")
    assert page.locator("#facts").inner_text().startswith(f"tile_5 {EVIL}")
    assert page.locator("#classes .class-name").all_inner_texts() == CLASSES
    assert page.locator("img[src=x]").count() == 0


def test_a_prediction_is_shown_and_can_become_the_label(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    truth = label(page)
    page.locator("#predict").click()
    page.wait_for_selector("#notes :text('Predicted in')")
    assert page.locator("#sources [aria-pressed=true]").inner_text() == "Prediction"
    np.testing.assert_array_equal(label(page), truth)
    assert "DSC" in page.locator("#cases li").first.inner_text()
    page.locator("#use-as-label").click()
    page.wait_for_selector("#sources [aria-pressed=true]:text('Label')")
    np.testing.assert_array_equal(label(page), label(page, "prediction"))
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(label(page), truth)


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
    drag(page, (0, 0), (0, 0))
    np.testing.assert_array_equal(label(page)[0], 2 * drawn)


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
    sync_api.expect(page.locator("#place")).not_to_contain_text("green")
    assert label(page)[0, 24, 32] != 1


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
    assert "edited" in page.locator("#cases li").first.inner_text()
    np.testing.assert_array_equal(np.asarray(Image.open(data / "masks" / "tile_0.png")), saved)


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
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, select, canvas[tabindex], [role=listbox], [role=radiogroup], dialog")]
      .filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") || node.labels?.length || node.textContent.trim() || node.type === "file"))
      .map((node) => node.outerHTML.slice(0, 100))""")
    assert nameless == []


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_cut_at_the_side(server: PageServer, browse: Browse, viewport: dict[str, int]) -> None:
    page = browse(server, viewport)
    page.keyboard.press("d")
    for tab in page.locator("#tabs button").all():
        if tab.is_visible():
            tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        outside = page.evaluate("""() => [...document.querySelectorAll("button, input, select, .chip, h2")]
          .filter((node) => node.checkVisibility())
          .filter((node) => { const box = node.getBoundingClientRect(); return box.left < -1 || box.right > innerWidth + 1; })
          .map((node) => node.outerHTML.slice(0, 100))""")
        assert outside == []


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

    place = page.locator("#place").inner_text
    touched("touchStart", (-20, 0), (20, 0))
    for wide in (30, 50, 80):
        touched("touchMove", (-wide, 0), (wide, 0))
    touched("touchEnd")
    np.testing.assert_array_equal(label(page), painted)
    page.touchscreen.tap(x + 40, y)
    after = label(page) != painted
    columns = np.nonzero(after)[2]
    assert columns.size
    assert columns.max() - 32 < 40 / 5  # four times as large as before: forty pixels of the screen are fewer of the image
    assert place()


def test_a_file_from_elsewhere_is_opened_predicted_and_downloaded(
    server: PageServer, browse: Browse, tmp_path: Path
) -> None:
    page = browse(server)
    file = tmp_path / "elsewhere.png"
    Image.fromarray(generate.picture((40, 72), 99)[0]).save(file)
    page.locator("#file").set_input_files(file)
    page.wait_for_selector("#notes :text('Predicted in')")
    assert page.locator("#cases li").count() == 7
    assert page.locator("#facts").inner_text().startswith("elsewhere · 72 × 40")
    assert page.locator("#save").is_disabled()
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
        """content => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(content)], "dropped.png")); return data; }""",
        content,
    )
    page.dispatch_event("#stage", "dragenter", {"dataTransfer": transfer})
    assert page.locator("#drop").is_visible()
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})
    opened(page, "dropped")
    assert not page.locator("#drop").is_visible()


def test_a_file_that_is_no_image_is_refused_in_words(server: PageServer, browse: Browse, tmp_path: Path) -> None:
    page = browse(server)
    (tmp_path / "notes.png").write_text("no picture")
    page.locator("#file").set_input_files(tmp_path / "notes.png")
    page.wait_for_selector("#errors .message")
    assert "notes.png" in page.locator("#errors").inner_text()
    assert page.locator("#cases li").count() == 6
    browse.complaints[:] = [text for text in browse.complaints if "422" not in text]  # type: ignore[attr-defined]


def test_the_most_uncertain_case_comes_first(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.locator("#predict-all").click()
    page.wait_for_selector("#notes :text('Predictions are done')", timeout=60_000)
    page.locator("#order").select_option("uncertain")
    origin = page.url.partition("#")[0]
    rows = page.request.get(f"{origin}api/project").json()["cases"]
    expected = [row["name"] for row in sorted(rows, key=lambda row: -row["uncertainty"])]
    assert page.locator(".case-name").all_inner_texts() == expected
    page.locator("#search").fill("tile_3")
    assert page.locator(".case-name").all_inner_texts() == ["tile_3"]


def test_what_undo_keeps_is_unpacked_as_it_was(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    differences = page.evaluate("""async () => {
      const { pack, unpack } = await import("/packed.js");
      const runs = Uint8Array.from({ length: 4000 }, (_, i) => (i < 7 ? 3 : Math.floor(i / 900)));
      const noise = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7919) % 251);
      const differ = (content) => { const back = unpack(pack(content)); return back.length - content.length || back.findIndex((value, i) => value !== content[i]) + 1; };
      return [runs, noise, new Uint8Array(1)].map(differ).concat(pack(runs).values.length);
    }""")
    assert differences == [0, 0, 0, 6]


def test_the_brush_is_round_in_the_world_and_covers_what_it_passes(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    pixels = page.evaluate("""async () => {
      const { line } = await import("/shapes.js");
      const drawn = (a, b, size) => { const found = new Set(); line(a, b, 5, size, (u, v) => found.add(`${u},${v}`)); return [...found].map((key) => key.split(",").map(Number)); };
      return [drawn([20.5, 20.5], [20.5, 20.5], [1, 2.5]), drawn([10.5, 10.5], [40.5, 10.5], [1, 1])];
    }""")
    disc, stroke = (np.array(found) for found in pixels)
    assert (np.ptp(disc, axis=0) + 1).tolist() == [11, 5]
    assert {(u, 10) for u in range(6, 46)} <= set(map(tuple, stroke.tolist()))
    assert len(stroke) == pytest.approx(30 * 11 + np.pi * 25, abs=12)


def test_edits_wait_while_the_server_cannot_be_reached(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    before = label(page)
    page.keyboard.press("d")
    page.route("**/api/cases/*/label?box=*", lambda route: route.abort())
    drag(page, (0, 0), (30, 0))
    drag(page, (0, 40), (30, 40))
    page.wait_for_selector("#sync:text('Offline: 2 edits wait')")
    page.unroute("**/api/cases/*/label?box=*")
    page.locator("#retry").click()
    synced(page)
    assert (label(page) != before).any()
    browse.complaints[:] = [text for text in browse.complaints if "ERR_FAILED" not in text]  # type: ignore[attr-defined]


def test_a_fit_shows_old_and_new_side_by_side(server: PageServer, browse: Browse) -> None:
    page = browse(server)
    page.locator("#predict").click()
    page.wait_for_selector("#notes :text('Predicted in')")
    page.locator("#fit").click()
    page.locator("#fit-time").fill("10m")
    page.locator("#fit-start").click()
    page.wait_for_selector("#fit-progress:not([hidden])")
    page.locator("#fit-close").click()
    page.locator("text=Compare old and new").click(timeout=180_000)
    page.wait_for_selector("#panes[data-layout=pair]")
    titles = page.locator(".pane-title").all_inner_texts()
    assert titles == ["prediction", "before"]
    assert label(page, "before").shape == label(page, "prediction").shape


@pytest.fixture
def volume_server(tmp_path: Path, tiny_base: Base) -> Iterator[PageServer]:
    """The page of volumes that nobody has fitted anything to."""
    folder = generate.nnunet_folder(tmp_path / "volumes")
    with PageServer(None, folder, Path(str(tiny_base.weights))) as server:
        yield server


def test_a_volume_has_three_planes_that_share_label_and_crosshair(volume_server: PageServer, browse: Browse) -> None:
    page = browse(volume_server)
    assert [pane.get_attribute("data-plane") for pane in page.locator(".pane").all()] == ["axial", "coronal", "sagittal"]
    clear(page)
    page.keyboard.press("v")
    assert page.locator(".pane").first.get_attribute("data-plane") == "coronal"
    page.keyboard.press("d")
    for _ in range(15):
        page.keyboard.press("[")
    x, y = canvas(page)
    page.mouse.click(x, y)
    painted = label(page)
    depth, height, width = painted.shape
    z, row, column = np.argwhere(painted)[0]
    assert (painted != 0).sum() == 1
    assert (row, column) == (height // 2, width // 2)
    place = page.locator("#place").inner_text()
    assert f"x {column}  y {row}  slice {z + 1}" in place


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
    sync_api.expect(page.locator("#from-slice")).to_have_value("1")
    sync_api.expect(page.locator("#to-slice")).to_have_value(str(depth))
    page.locator("#interpolate").click()
    sync_api.expect(page.locator("#place")).to_contain_text("liver")
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
