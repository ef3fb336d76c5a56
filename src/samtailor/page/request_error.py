"""What a request is refused with."""

from __future__ import annotations

from samtailor.errors import SamTailorError


class RequestError(SamTailorError):
    """A request that is not answered, for a reason that its sender can do something about.

    Attributes:
        status: HTTP's number for it.
    """

    def __init__(self, status: int, text: str) -> None:
        """Refuse with a number of HTTP, and a sentence."""
        self.status = status
        super().__init__(text)
