"""What can be told of an exception that user code raised: its classes, its text, its traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

_MOST_TEXT, _MOST_ERRORS = 2000, 32
_OURS = "bentod.worker."


def classes(error: BaseException) -> list[str]:
    """Its classes as `module:qualified.name`, most derived first."""
    return [f"{cls.__module__}:{cls.__qualname__}" for cls in type(error).__mro__]


def family(error: BaseException, *, hidden: bool) -> Iterator[BaseException]:
    """An exception, those of its group, and those that it came from, of many only some; `hidden`: also those that
    `raise … from` has put others in the place of."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST_ERRORS:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        group = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        context = one.__context__ if hidden or not one.__suppress_context__ else None
        waiting += [other for other in (*group, context, one.__cause__) if other is not None]


def text(error: BaseException, most: int = _MOST_TEXT) -> str:
    """The exception's own text, bounded, and clean enough for MessagePack."""
    try:
        found = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    except BaseException:  # noqa: BLE001 - even __str__ is user code
        found = ""
    return found[:most].encode("utf-8", "replace").decode()


def traceback_of(error: BaseException) -> str:
    """The traceback, from where user code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
