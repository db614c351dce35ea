"""What statuses are called, as in RFC 9110 on every Python: its own table has these names since 3.13."""

from __future__ import annotations

from http import HTTPStatus

_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

PHRASES: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | _RENAMED
"""Of each status that has one."""

STATUS_LINES: dict[int, bytes] = {
    status: f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n".encode() for status in range(100, 600)
}
"""The first line of an answer."""
