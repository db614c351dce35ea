"""Binds the public sockets. The daemon holds them, so nothing is refused while a gateway is replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from bentod.errors import StartError

_BACKLOG = 2048


class Listener:
    """One listening socket and the URL that reaches it."""

    def __init__(self, address: str, bound: socket.socket, url: str, path: Path | None = None) -> None:
        self.address = address
        self.socket = bound
        self.url = url
        self._path = path

    def close(self) -> None:
        """Refuse from now on, and remove a Unix socket's file."""
        self.socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def listen(addresses: tuple[str, ...]) -> list[Listener]:
    """Bind all addresses, or none. Raises StartError that says which cannot be bound and why."""
    bound: list[Listener] = []
    for address in addresses:
        try:
            bound.append(_bind(address))
        except OSError as error:
            for one in bound:
                one.close()
            raise StartError(f"cannot listen on {address}: {_why(error)}") from None
    return bound


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use by another process"
    return error.strerror or str(error)


def _bind(address: str) -> Listener:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        return _bind_unix(address, Path(rest))
    if kind == "fd":
        return _inherited(address, int(rest.removeprefix("//")))
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family, _, _, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return Listener(address, bound, _url(bound))


def _url(bound: socket.socket) -> str:
    """How a client on this host reaches a bound socket: an address that means "all" becomes the loopback one."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_unix(address: str, path: Path) -> Listener:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(str(path))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return Listener(address, bound, f"unix:{path}", path)


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a process that is gone; anything that answers or is no socket stays."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _inherited(address: str, number: int) -> Listener:
    """A socket that the starter of this process has bound already (systemd's socket activation, for one)."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        raise OSError(errno.EBADF, f"descriptor {number} is not open") from None
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, f"descriptor {number} is no socket")
    bound = socket.socket(fileno=os.dup(number))
    if not bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        bound.listen(_BACKLOG)
    url = f"unix:{bound.getsockname()}" if bound.family == socket.AF_UNIX else _url(bound)
    return Listener(address, bound, url)
