"""The error tree, and Problem: one thing that is wrong in a spec, with its place and a hint.

BentodError
├─ SpecError        problems: the files are unreadable or say something impossible     CLI exit 2
├─ PlanError        problems: the spec is fine, this host cannot run it                CLI exit 3
├─ Unknown          a generation, say, that was asked for and is not there             CLI exit 2
├─ StartError       a generation did not become ready                                  CLI exit 4
├─ CallError        one call failed; its class decides the HTTP problem
│  ├─ MalformedBody, UnsupportedMediaType, BodyTooLarge, BodyTimeout, NotAcceptable
│  ├─ NotFound, MethodNotAllowed
│  ├─ InvalidInput          errors: JSON Pointers into the body
│  ├─ TargetRaised          the callable raised
│  ├─ OutOfMemory           the callable had too little memory
│  ├─ InvalidOutput, OutputCount, OutputUnserializable
│  ├─ QueueFull, NotReady, WorkerLost, Draining
│  ├─ DeadlineExceeded
│  ├─ StorageFailed         a file of the call cannot be written: the disk is full
│  ├─ Internal              a bug of ours
│  └─ ClientGone            nobody is left to answer
└─ WireError        a peer sent a frame that is too large, unknown or cut off
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MISMATCH = "the input does not match the API's schema"
"""What a client is told of an InvalidInput, besides the places."""

UNFIT = "does-not-fit"
"""The code of the problems of a PlanError: services ask for more than the host has."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a spec. `line` and `column` are 1-based; 0 means that no place is known."""

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    hint: str = ""


class BentodError(Exception):
    """Everything that bentod itself raises."""


class ProblemsError(BentodError):
    """An error that consists of problems, sorted by file and position."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path)))
        super().__init__(f"{len(self.problems)} problem(s): {self.problems[0].message}")


class SpecError(ProblemsError):
    """The spec cannot be read or says something impossible."""


class PlanError(ProblemsError):
    """The spec is fine, but this host cannot run it."""


class StartError(BentodError):
    """A generation did not become ready. `traceback` is that of the user's code, if it raised. `again`: the same
    may go well another time, since somebody killed a worker, or wrote a file meanwhile."""

    def __init__(self, text: str, traceback: str = "", *, again: bool = False) -> None:
        super().__init__(text)
        self.traceback = traceback
        self.again = again


class Unknown(BentodError):
    """There is nothing by the name or the number that was asked for."""


class WireError(BentodError):
    """A peer sent a frame that is too large, unknown or cut off."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """One part of a body that is wrong: a JSON Pointer (RFC 6901) and what is wrong there."""

    pointer: str
    detail: str


@dataclass(eq=False)
class CallError(BentodError):
    """One call failed. `detail` is public: it reaches the client. `log` is for the operator only."""

    detail: str = ""
    errors: tuple[Pointed, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    log: str = ""

    def __str__(self) -> str:
        return self.detail or type(self).__name__


class MalformedBody(CallError):
    """The body is not what its media type says."""


class NotFound(CallError):
    """No such route."""


class MethodNotAllowed(CallError):
    """The route exists, for another method."""


class NotAcceptable(CallError):
    """The answer has no form that the client accepts."""


class BodyTimeout(CallError):
    """The body came too slowly."""


class BodyTooLarge(CallError):
    """The body is larger than the API takes."""


class UnsupportedMediaType(CallError):
    """The API takes no body of this media type."""


class InvalidInput(CallError):
    """The input does not match the API's schema."""


@dataclass(eq=False)
class TargetRaised(CallError):
    """The callable raised; `status` is what the API's `errors` map says, if anything."""

    status: int | None = None


class OutOfMemory(CallError):
    """The callable had too little memory, the host's or a GPU's."""


class InvalidOutput(CallError):
    """The answer does not match the API's schema."""


class OutputCount(CallError):
    """The callable gave more or fewer answers than it had calls, or rows."""


@dataclass(eq=False)
class OutputUnserializable(CallError):
    """The callable returned what no body can hold; `not_finite`: JSON cannot, because of a NaN or an Infinity."""

    not_finite: bool = False


class QueueFull(CallError):
    """Too many calls wait already."""


class NotReady(CallError):
    """No worker of the service can serve now."""


class WorkerLost(CallError):
    """The worker died with the call, and no retry was left."""


class Draining(CallError):
    """The daemon is shutting down."""


class DeadlineExceeded(CallError):
    """The call did not finish in time."""


class StorageFailed(CallError):
    """A file of the call cannot be written on this host."""


class Internal(CallError):
    """A bug of ours; what happened is in the log."""


class ClientGone(CallError):
    """The client went away before the answer."""
