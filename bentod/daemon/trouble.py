"""What nobody expected to go wrong: it is told on stderr, and ends nothing but what it came from."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator


def tell(error: BaseException) -> None:
    """With all that is needed to mend it."""
    sys.stderr.write("".join(traceback.format_exception(error)))


@contextlib.contextmanager
def survived() -> Iterator[None]:
    """What goes wrong inside is told, and what comes next goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a bug of ours
        tell(error)


class Again:
    """For what is done again and again: each kind of trouble is told once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, int]] = set()

    @contextlib.contextmanager
    def survived(self) -> Iterator[None]:
        """What goes wrong inside is told if it is new, and what comes next goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a bug of ours
            *_, last = traceback.walk_tb(error.__traceback__)
            kind = type(error).__qualname__, last[0].f_code.co_filename, last[1]
            if kind not in self._told:
                self._told.add(kind)
                tell(error)
