"""An HTTP client that says exactly what it is told, byte by byte, over TCP or a Unix socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 20.0


class Answer(NamedTuple):
    """A response. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; of anything else, nothing."""
        return self.json["code"] if self.headers.get("content-type") == "application/problem+json" else ""


class Ended(Exception):
    """The peer ended the connection where an answer was due."""


class Connection:
    """One connection to a server at `http://host:port` or `unix:/path`."""

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        if url.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(patience_s)
            try:
                self.socket.connect(url.removeprefix("unix:"))
            except OSError:
                self.socket.close()
                raise
        else:
            parts = urlsplit(url)
            self.socket = socket.create_connection((parts.hostname, parts.port), patience_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes, *, head: bool = False) -> Answer:
        """Send a request, and read its answer."""
        self.send(data)
        return self.answer(head=head)

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer; interim ones count too. Raises Ended."""
        start, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = [line.split(":", 1) for line in lines if line]
        headers = {name.lower(): value.strip() for name, value in pairs}
        assert len(headers) == len(pairs), f"a header comes twice: {lines}"
        status = int(start.split()[1])
        bodiless = head or status < 200 or status in {204, 304}
        return Answer(status, headers, b"" if bodiless else self._body(headers))

    def ended(self, within: float = PATIENCE_S) -> bool:
        """Whether the peer ends the connection in time without another word."""
        self.socket.settimeout(within)
        try:
            return not self._read and not self.socket.recv(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        assert headers.get("transfer-encoding") == "chunked", headers
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._until(b"\r\n")
        self._until(b"\r\n")
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            raise Ended(str(error)) from None
        if not data:
            raise Ended(f"the end, after {self._read!r}")
        self._read += data


def request(path: str, body: Any = b"", method: str = "POST", headers: Mapping[str, str] | None = None) -> bytes:
    """A request; a body that is not bytes is sent as JSON, and None means that there is none."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
    length = {} if body is None else {"content-length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in {"host": "e2e", **length, **(headers or {})}.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """A body in these chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
