"""What a user sees and does in the browser, and the label that the server then has."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 400, "height": 850}
PATIENCE = 15_000  # ms: the machine may be busy
EVIL = "<img src=x onerror=alert(1)>"
CLASSES = ["background", f"green {EVIL}", "blue"]
Page = Any


def expect(locator: Any) -> Any:
    """Assertions about a part of the page that wait until they hold."""
    from playwright.sync_api import expect  # where it is missing, tests are skipped before they come here

    return expect(locator)


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
    shape = page.request.post(f"{origin}api/cases/{number}/open", headers={"Origin": origin.rstrip("/")}).json()[
        "shape"
    ]
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
    expect(page.locator("#facts")).to_contain_text(name, timeout=PATIENCE)
    ready(page)


def clear(page: Page) -> None:
    """Empty the label."""
    page.locator("#clear-label").click()
    expect(page.locator("#sync")).to_have_text("Saved as draft", timeout=PATIENCE)
    synced(page)
    assert not label(page).any()


def choose(page: Page, name: str) -> None:
    """Open a case of the list by its name."""
    page.locator("#cases li", has_text=name).first.click()
    opened(page, name)


def colour(page: Page) -> list[int]:
    """Red, green and blue in the middle of the large canvas, a little beside the border of pixels."""
    page.wait_for_timeout(200)  # drawn with the next frame
    x, y = canvas(page)
    shot = page.screenshot(clip={"x": round(x) + 3, "y": round(y) + 3, "width": 1, "height": 1})
    return list(Image.open(io.BytesIO(shot)).convert("RGB").getpixel((0, 0)))
