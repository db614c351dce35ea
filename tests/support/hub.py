"""A stand-in of the Hugging Face hub's HTTP API on local ports: models, their commits and files, and what may go wrong.

Files in LFS come from a second port, as the real hub's come from another host.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS = (".safetensors", ".bin", ".gguf")
CHUNK = 1 << 18


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of one kind: `revision`, `tree`, `resolve` or `cdn`, whose path
    holds `path`. Either `status` is answered, or the file's bytes are wrong: other `content`, `extra` bytes after it,
    an end `after` so many, or a wait for `held` after so many. `do` is called first."""

    kind: str
    path: str = ""
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    extra: bytes = b""
    after: int | None = None
    held: threading.Event | None = None
    unsized: bool = False
    ranges: bool = True
    body: bytes = b"{}"
    do: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Request:
    kind: str
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Repository:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)
    """Names that the listing has instead of the right ones."""
    token: str = ""
    gated: bool = False


def blob_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Runs from `with` to its end. `requests` are those that came, `faults` what is to go wrong."""

    def __init__(self, page: int = 1000) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.page = page
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._servers = [_server(self, kind) for kind in ("hub", "cdn")]
        self.url, self.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> Hub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, name: str, files: dict[str, bytes], revision: str = "main") -> str:
        """A new commit, which `revision` is from now on."""
        text = "".join(f"{path}:{blob_sha1(data)}\n" for path, data in sorted(files.items()))
        commit = hashlib.sha1(text.encode()).hexdigest()
        repository = self.repositories.setdefault(name, Repository())
        repository.commits[commit] = dict(files)
        repository.refs[revision] = commit
        for data in files.values():
            self._blobs[hashlib.sha256(data).hexdigest()] = data
        return commit

    def asked(self, kind: str = "", method: str = "") -> list[Request]:
        return [one for one in self.requests if kind in {"", one.kind} and method in {"", one.method}]

    def fault(self, kind: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.kind == kind and fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def blob(self, sha256: str) -> bytes | None:
        return self._blobs.get(sha256)


@contextlib.contextmanager
def forbidden() -> Iterator[Hub]:
    """A hub that nobody may ask anything."""
    with Hub() as hub:
        yield hub
        assert hub.requests == []


def _server(hub: Hub, side: str) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"hub": hub, "side": side})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    side: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        kind, found = self._kind(url.path)
        self.hub.requests.append(
            Request(kind, self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        )
        self.fault = self.hub.fault(kind, unquote(self.path))
        if self.fault:
            self.fault.do()
            if self.fault.status:
                self._send(self.fault.status, self.fault.body, self.fault.headers)
                return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{kind}")(*found, parse_qs(url.query))

    def _kind(self, path: str) -> tuple[str, list[str]]:
        if self.side == "cdn":
            return "cdn", [path[1:]]
        for kind, pattern in (
            ("revision", r"/api/models/(.+)/revision/([^/]+)"),
            ("tree", r"/api/models/(.+)/tree/([^/]+)(?:/.*)?"),
            ("refs", r"/api/models/(.+)/refs"),
            ("resolve", r"/(.+)/resolve/([^/]+)/(.+)"),
        ):
            if match := re.fullmatch(pattern, path):
                return kind, [unquote(part) for part in match.groups()]
        return "unknown", []

    def _unknown(self, _: object) -> None:
        self._send(404, b'{"error": "Not Found"}')

    def _repository(self, name: str) -> Repository | None:
        """The repository, if it is there for who asks. The real hub does not say which of both it is."""
        repository = self.hub.repositories.get(name)
        given = self.headers.get("authorization", "")
        if repository and repository.gated and given != f"Bearer {repository.token}":
            self._error(403 if given else 401, "GatedRepo", f"Access to model {name} is restricted.")
        elif repository is None or (repository.token and given != f"Bearer {repository.token}"):
            self._error(404 if given else 401, "RepoNotFound", "Repository not found")
        else:
            return repository
        return None

    def _commit(self, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self._repository(name)
        if repository is None:
            return None
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _revision(self, name: str, revision: str, _: object) -> None:
        if found := self._commit(name, revision):
            repository, commit = found
            siblings = [{"rfilename": path} for path in repository.commits[commit]]
            self._json({"_id": "1", "id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})

    def _refs(self, name: str, _: object) -> None:
        if repository := self._repository(name):
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.refs.items()]
            self._json({"branches": branches, "converts": [], "tags": []})

    def _tree(self, name: str, revision: str, query: dict[str, list[str]]) -> None:
        if found := self._commit(name, revision):
            repository, commit = found
            entries = [
                _entry(repository.listed.get(p, p), data) for p, data in sorted(repository.commits[commit].items())
            ]
            entries.insert(0, {"type": "directory", "oid": "0" * 40, "size": 0, "path": "onnx"})
            start = int(query.get("cursor", ["0"])[0])
            end = start + self.hub.page
            more = {}
            if end < len(entries):
                url = f"{self.hub.url}/api/models/{name}/tree/{quote(revision, safe='')}?recursive=true&cursor={end}"
                more = {"Link": f'<{url}>; rel="next"'}
            self._json(entries[start:end], more)

    def _resolve(self, name: str, revision: str, path: str, _: object) -> None:
        if not (found := self._commit(name, revision)):
            return
        repository, commit = found
        data = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if data is None:
            self._error(404, "EntryNotFound", "Entry not found", headers)
        elif path.endswith(LFS):
            sha256 = hashlib.sha256(data).hexdigest() if len(data) < CHUNK else _known(data)
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256}"'}
            headers["Location"] = f"{self.hub.cdn}/{sha256}"
            self._send(302, b"", headers)
        else:
            self._file(data, {**headers, "ETag": f'"{blob_sha1(data)}"'})

    def _cdn(self, sha256: str, _: object) -> None:
        data = self.hub.blob(sha256)
        if data is None:
            self._send(404, b"")
        else:
            self._file(data, {"ETag": f'"{sha256}"'})

    def _file(self, data: bytes, headers: dict[str, str]) -> None:
        fault = self.fault or Fault("")
        body = memoryview((data if fault.content is None else fault.content) + fault.extra if self.fault else data)
        total, status = len(body), 200
        if (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))) and fault.ranges:
            start = int(asked[1])
            if start >= total:
                self._send(416, b"", {"Content-Range": f"bytes */{total}"})
                return
            headers["Content-Range"], body, status = f"bytes {start}-{total - 1}/{total}", body[start:], 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.unsized:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._body(body, fault)

    def _body(self, body: memoryview, fault: Fault) -> None:
        if fault.after is not None:
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            if fault.held is None:
                self.close_connection = True
                return
            fault.held.wait(30)
            body = body[fault.after :]
        for start in range(0, len(body), CHUNK):
            self.wfile.write(body[start : start + CHUNK])

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        more = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
        self._send(status, json.dumps({"error": message}).encode(), more)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)


_DIGESTS: dict[int, tuple[bytes, str]] = {}


def _known(data: bytes) -> str:
    """The sha256 of a large file, once."""
    if id(data) not in _DIGESTS or _DIGESTS[id(data)][0] is not data:
        _DIGESTS[id(data)] = (data, hashlib.sha256(data).hexdigest())
    return _DIGESTS[id(data)][1]


def _entry(path: str, data: bytes) -> dict[str, object]:
    if not path.endswith(LFS):
        return {"type": "file", "oid": blob_sha1(data), "size": len(data), "path": path}
    sha256 = _known(data)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
    lfs = {"oid": sha256, "size": len(data), "pointerSize": len(pointer)}
    return {"type": "file", "oid": blob_sha1(pointer), "size": len(data), "path": path, "lfs": lfs}
