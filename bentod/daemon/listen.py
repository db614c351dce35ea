"""Opens the public sockets. The daemon holds them, so nothing is refused while a gateway is replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentod.errors import StartError

_BACKLOG = 2048
_FIRST_INHERITED = 3
_MOST_INHERITED = 1000


@dataclass(frozen=True, slots=True)
class Inherited:
    """A listening socket that was open when this process began, by its descriptor, which stays open.

    `name` is what the service manager calls it. `address` is set by a daemon that hands over to its successor: the
    entry of `listen` that the socket serves.
    """

    number: int
    name: str = ""
    address: str = ""


class Listener:
    """One listening socket and the URL that reaches it. `owned`: a Unix socket's file is removed at the end; not so
    if the socket came from outside, or has gone to a successor."""

    def __init__(self, address: str, bound: socket.socket, *, owned: bool = False) -> None:
        self.address = address
        self.socket = bound
        self.owned = owned
        self._path = Path(bound.getsockname()) if bound.family == socket.AF_UNIX else None
        self.url = f"unix:{self._path}" if self._path is not None else _url(bound)

    def close(self) -> None:
        """Refuse from now on, and remove a Unix socket's file."""
        self.socket.close()
        if self._path is not None and self.owned:
            self._path.unlink(missing_ok=True)


def inherited(environ: Mapping[str, str], pid: int) -> tuple[Inherited, ...]:
    """The sockets that a service manager handed to the process `pid`: sd_listen_fds(3)."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return ()
    numbers = range(_FIRST_INHERITED, _FIRST_INHERITED + min(int(count), _MOST_INHERITED))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for number in numbers:
        with contextlib.suppress(OSError):
            os.set_inheritable(number, False)
    return tuple(Inherited(number, names[index] if index < len(names) else "") for index, number in enumerate(numbers))


def listen(addresses: Sequence[str], inherited: Sequence[Inherited] = ()) -> list[Listener]:
    """Open all addresses, or none. An inherited socket that is bound to one of them serves it; the others are bound.

    Raises StartError that says which cannot be opened and why, or which socket was inherited in vain.
    """
    return relisten((), addresses, inherited)[0]


def relisten(
    old: Sequence[Listener], addresses: Sequence[str], inherited: Sequence[Inherited] = ()
) -> tuple[list[Listener], list[Listener]]:
    """The listeners of `addresses`, and those of `old` that have to be closed once these serve.

    An address that is in both keeps its listener, and with it the port that it got if it asks for port 0. Raises
    StartError as `listen` does; then everything is as it was.
    """
    kept = {one.address: one for one in old if one.address in addresses}
    opened: dict[str, Listener] = {}
    try:
        for address in addresses:
            if address not in kept:
                opened[address] = _open(address, old, inherited)
        new = [kept.get(address) or opened[address] for address in addresses]
        _refuse_vain(new, inherited)
    except StartError:
        for one in opened.values():
            one.close()
        raise
    return new, [one for one in old if one.address not in kept]


def _open(address: str, old: Sequence[Listener], inherited: Sequence[Inherited]) -> Listener:
    try:
        for one in inherited:
            if _is_for(one, address):
                return Listener(address, _duplicate(one.number))
        for listener in old:
            if listener.socket.family != socket.AF_UNIX and _is_bound_to(listener.socket, address):
                return Listener(address, listener.socket.dup())  # the same place in other words
        return _bind(address)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {_why(error, address, old)}") from None


def _why(error: OSError, address: str, old: Sequence[Listener]) -> str:
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    port = address.rpartition(":")[2]
    for one in old:
        if one.socket.family != socket.AF_UNIX and str(one.socket.getsockname()[1]) == port:
            return f"that overlaps with {one.address}, where this daemon listens now: stop it first"
    return "the address is in use by another process; `server.listen` or BENTOD_LISTEN says another"


def _is_for(one: Inherited, address: str) -> bool:
    """Whether an inherited socket serves an address. Raises OSError for a descriptor that can serve none."""
    if one.address or address == f"fd://{one.number}":
        return address in (one.address, f"fd://{one.number}")
    with _duplicate(one.number) as bound:
        return _is_bound_to(bound, address)


def _is_bound_to(bound: socket.socket, address: str) -> bool:
    """Whether connections to `address` arrive at a socket, and it takes no others besides."""
    kind, _, rest = address.partition(":")
    if kind == "fd" or (kind == "unix") != (bound.family == socket.AF_UNIX):
        return False
    name = bound.getsockname()
    if kind == "unix":
        return bool(name) and isinstance(name, str) and Path(name) == Path(rest)
    wanted = {(family, *where) for family, _, _, _, where in _resolved(address)}
    if (bound.family, *name) in wanted:
        return True
    both = name[0] == "::" and not bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return both and (socket.AF_INET, "0.0.0.0", name[1]) in wanted  # noqa: S104 - compared, not bound


def _refuse_vain(new: Sequence[Listener], inherited: Sequence[Inherited]) -> None:
    """Raises StartError for a socket that nobody would serve: its clients would wait for ever."""
    served = [one.socket.getsockname() for one in new]
    for one in inherited:
        try:
            with _duplicate(one.number) as bound:
                name = bound.getsockname()
        except OSError as error:
            raise StartError(f"the service manager gave a socket that is of no use: {error.strerror}") from None
        if name not in served and not one.address:
            listening = ", ".join(listener.address for listener in new)
            called = f" ({one.name})" if one.name else ""
            raise StartError(
                f"the service manager gave a socket that is bound to {_shown(name)}{called}, but `server.listen` says "
                f"{listening}: write the same address in both"
            )


def _shown(name: object) -> str:
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return f"unix:{name}" if isinstance(name, str) else f"unix:{name!r}"


def _bind(address: str) -> Listener:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        return _bind_unix(address, Path(rest))
    if kind == "fd":
        return Listener(address, _duplicate(int(rest.removeprefix("//"))))
    family, _, _, _, where = _resolved(address)[0]
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
    return Listener(address, bound)


def _resolved(address: str) -> list[tuple[int, int, int, str, tuple[str | int | bytes, ...]]]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return [*socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)]


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
    return Listener(address, bound, owned=True)


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


def _duplicate(number: int) -> socket.socket:
    """A socket that the starter of this process has opened: the original outlives us. Raises OSError that says why it
    can take no connections."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        raise OSError(errno.EBADF, f"descriptor {number} is not open") from None
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, f"descriptor {number} is no socket")
    found = socket.socket(fileno=os.dup(number))
    try:
        if found.type != socket.SOCK_STREAM or found.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.ENOTSOCK, f"descriptor {number} is no stream socket")
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found
