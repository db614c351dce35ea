"""Moments for people: the local time, and how long ago."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def local(time: str) -> str:
    """An ISO time as the local one, to the second."""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return time


def ago(time: str, now: datetime | None = None) -> str:
    """How long ago an ISO time was: `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`."""
    try:
        passed = ((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds()
    except (ValueError, TypeError):
        return ""
    for unit, seconds in _UNITS:
        if passed >= seconds:
            return f"{passed / seconds:.0f} {unit} ago"
    return f"{max(0.0, passed):.0f} s ago"
