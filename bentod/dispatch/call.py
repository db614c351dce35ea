"""Call: one admitted request, from its admission to its one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bentod.errors import CallError


class Answer(NamedTuple):
    """What a worker answered: the value, how long the call waited and ran, and what it set on the HTTP answer."""

    value: Any
    queue_s: float
    run_s: float
    status: int | None = None
    headers: Mapping[str, str] = {}


@dataclass(slots=True)
class Quota:
    """How many calls of one API wait and run, and how many may wait."""

    limit: int
    waiting: int = 0
    running: int = 0


class TargetFailure(CallError):
    """The callable raised, or returned what cannot be sent: `code` as the worker said it, `classes` for the API's
    `errors` map, `log` for the operator. The gateway decides what the client may know."""

    def __init__(self, code: str, detail: str, log: str, classes: list[str], run_s: float) -> None:
        super().__init__(detail)
        self.code, self.log, self.classes, self.run_s = code, log, classes, run_s


class Call:
    """One call. `entry` is what the worker gets, packed; `finished` gets the answer or a CallError, once."""

    __slots__ = ("admitted", "deadline", "entry", "finished", "id", "is_async", "losses", "quota", "retry", "sent")

    def __init__(
        self, id_: int, entry: bytes, deadline: float, admitted: float, quota: Quota, *, is_async: bool, retry: bool
    ) -> None:
        self.id = id_
        self.entry = entry
        self.deadline = deadline
        self.admitted = admitted
        self.sent = 0.0
        self.quota = quota
        self.is_async = is_async
        self.retry = retry
        self.losses = 0
        self.finished: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(self, answer: Answer) -> None:
        """Finish with an answer, unless it is finished already."""
        if not self.finished.done():
            self.finished.set_result(answer)

    def fail(self, error: CallError) -> None:
        """Finish with an error, unless it is finished already."""
        if not self.finished.done():
            self.finished.set_exception(error)
