"""A stand-in of the API of Docker's engine on a Unix socket: it keeps what it is asked, and says what a test wants."""

from __future__ import annotations

import contextlib
import io
import json
import socketserver
import tarfile
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

IMAGE = "sha256:" + "e" * 64


@dataclass
class DockerApi:
    """What it answers, and what it was asked. `build` gets the handler once the context is read whole."""

    environ: dict[str, str]
    build: Callable[[Handler], None]
    images: set[str] = field(default_factory=lambda: {"python:3.11-slim-bookworm"})
    pulled: list[dict[str, str]] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    contexts: list[bytes] = field(default_factory=list)
    pull_says: list[dict[str, Any]] = field(default_factory=list)
    push_says: list[dict[str, Any]] = field(default_factory=list)
    cut_off: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    reads_after_s: float = 0.0
    describes: threading.Event | None = None
    """Until this is set, nothing is said of an image."""

    def context(self) -> dict[str, bytes]:
        """The files of the last context."""
        with tarfile.open(fileobj=io.BytesIO(self.contexts[-1])) as archive:
            return {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: DockerApi

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if path.endswith("/version"):
            self.answer({"ApiVersion": "1.41", "Version": "20.10.24"})
        elif "/images/" in path and self.api.describes is not None:
            self.api.describes.wait(60)
        elif path.endswith("/history"):
            rows = [{"Id": IMAGE, "Size": 7, "CreatedBy": "COPY src/ /app/ # buildkit", "Tags": None, "Created": 1}]
            self.answer([*rows, {"Id": "<missing>", "Size": 3_000_000, "CreatedBy": None, "Tags": None, "Created": 1}])
        elif path.endswith("/json"):
            name = path.partition("/images/")[2].removesuffix("/json")
            known = name in {*self.api.images, IMAGE}
            self.answer(
                {"Id": IMAGE, "Size": 3_000_007} if known else {"message": f"No such image: {name}"},
                200 if known else 404,
            )
        else:
            self.answer({"message": "what?"}, 404)

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        asked = urllib.parse.parse_qs(query)
        if path.endswith("/build"):
            self.api.queries.append(asked)
            threading.Event().wait(self.api.reads_after_s)
            self.api.contexts.append(b"".join(self.chunks()))
            self.api.asked.set()
            self.api.build(self)
        elif path.endswith("/images/create"):
            self.api.pulled.append({name: values[0] for name, values in asked.items()})
            self.stream(*(json.dumps(one).encode() + b"\r\n" for one in self.api.pull_says))
        elif path.endswith("/push"):
            name = urllib.parse.unquote(path).partition("/images/")[2].removesuffix("/push")
            self.api.pushed.append(f"{name}:{asked['tag'][0]}")
            self.stream(*(json.dumps(one).encode() + b"\r\n" for one in self.api.push_says))
        else:
            self.answer({"message": "what?"}, 404)

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.line(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def line(self) -> bytes:
        read = self.rfile.readline()
        if not read:
            raise ConnectionError("the client went away before the end")
        return read

    def answer(self, value: Any, status: int = 200) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *pieces: bytes, ended: bool = True) -> None:
        """Pieces as they are; without its end the answer is one that broke off."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if ended:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def until_cut_off(self) -> None:
        """Wait until the client goes away."""
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.settimeout(30)
            if not self.connection.recv(1):
                self.api.cut_off.set()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    def address_string(self) -> str:
        return "socket"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none."""


@contextlib.contextmanager
def docker_api(build: Callable[[Handler], None]) -> Iterator[DockerApi]:
    """A stand-in that answers until the end."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        socket = Path(folder) / "s"
        api = DockerApi({"DOCKER_HOST": f"unix://{socket}"}, build)
        handler = type("Bound", (Handler,), {"api": api})
        with _Server(str(socket), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            try:
                yield api
            finally:
                server.shutdown()
                thread.join()
