"""What `status` says of the last change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from bentod.errors import Problem


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Note:
    """What `status` says of the last change: `idle`, `applying`, `failed` or `refused`, why, and since when."""

    state: str = "idle"
    reason: str = ""
    since: str = field(default_factory=_now)
    problems: tuple[Problem, ...] = ()

    def document(self) -> dict[str, Any]:
        """The note as plain data."""
        return {**asdict(self), "problems": [asdict(problem) for problem in self.problems]}
