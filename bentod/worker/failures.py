"""What can be told of an exception that user code raised: its classes, its text, its traceback."""

from __future__ import annotations

import traceback

_MOST_TEXT = 2000
_OURS = "bentod.worker."


def classes(error: BaseException) -> list[str]:
    """Its classes as `module:qualified.name`, most derived first."""
    return [f"{cls.__module__}:{cls.__qualname__}" for cls in type(error).__mro__]


def text(error: BaseException) -> str:
    """The exception's own text, bounded, and clean enough for MessagePack."""
    try:
        found = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    except BaseException:  # noqa: BLE001 - even __str__ is user code
        found = ""
    return found[:_MOST_TEXT].encode("utf-8", "replace").decode()


def traceback_of(error: BaseException) -> str:
    """The traceback, from where user code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
