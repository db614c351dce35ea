"""What a callable with a parameter `context` gets."""

from __future__ import annotations

import time
from pathlib import Path


class Response:
    """What the callable may set on the HTTP answer: `status` (200 to 599) and `headers`."""

    __slots__ = ("headers", "sent", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.sent = False  # with the first chunk of a stream

    @property
    def unsaid(self) -> bool:
        """Whether there is something to be sent with the answer."""
        return not self.sent and (self.status is not None or bool(self.headers))


class Context:
    """A request's context.

    `headers`: the request's, names in lower case. `request_id`: as in the answer's `X-Request-Id`. `deadline`: when
    nobody waits any more (of a stream: for its first chunk), on `time.monotonic()`'s scale. `response`: status and
    headers of the answer.
    """

    __slots__ = ("_folder", "deadline", "headers", "request_id", "response")

    def __init__(self, request_id: str, headers: dict[str, str], deadline: float, folder: str = "") -> None:
        self.request_id = request_id
        self.headers = headers
        self.deadline = deadline
        self.response = Response()
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The call's own folder, removed after the answer. Raises RuntimeError if the API has no `format: file`."""
        if not self._folder:
            raise RuntimeError("context.folder is for APIs whose input or output has `format: file`")
        folder = Path(self._folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def remaining(self) -> float:
        """Seconds until the deadline, 0 when it has passed."""
        return max(0.0, self.deadline - time.monotonic())
