"""Opening pages in a browser, and noticing what they should not do."""

from __future__ import annotations

from typing import Any

from tests.page.browser.screen import PATIENCE, WIDE, Page, ready
from tests.page.browser.served import PageServer


class Browse:
    """Opens pages.

    Attributes:
        complaints: Errors and warnings of the pages, dialogs, and requests to others than the page's own server.
    """

    def __init__(self, browser: Any) -> None:
        """Open pages in a browser."""
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []

    def __call__(self, server: PageServer, viewport: dict[str, int] = WIDE, **options: Any) -> Page:
        """The page of a server, with a case on the canvas."""
        context = self._browser.new_context(viewport=viewport, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        own = (f"http://127.0.0.1:{server.port}/", "blob:", "data:")
        page.on("request", lambda request: request.url.startswith(own) or self.complaints.append(request.url))
        page.on(
            "console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.goto(server.address)
        ready(page)
        return page

    def forgive(self, text: str) -> None:
        """Drop complaints that hold a text: the test has made them."""
        self.complaints[:] = [complaint for complaint in self.complaints if text not in complaint]

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()
