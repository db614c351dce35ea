"""A spec as systemd units: what `bentod render systemd` writes. The templates are in `recipes/systemd`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.plan.times import START_S
from bentod.render.recipes import Filters, Unwritable, Written, rendered

_STOP_S = 15.0
_WATCHDOG_S = 30.0
_DRIVER = "nvidia-persistenced.service"
"""Once it runs, the driver is loaded. To come after a unit that there is not changes nothing."""
_LAST_OF_ROOT = 1023
_PLAIN = re.compile(r"[A-Za-z0-9_@.:-]*")
_SIX_WITH_ZONE = re.compile(r"\[(.+)%(.+)\]:([0-9]+)")


@dataclass(frozen=True, slots=True)
class Service:
    """All that the units are made from. `user` is empty for a unit of the user's own manager."""

    name: str
    version: str
    listen: tuple[str, ...]
    command: tuple[str, ...]
    directory: Path
    environ: Mapping[str, str]
    runtime: str
    """A folder in /run that systemd makes, or nothing."""
    writable: Path
    user: str
    start_s: float
    """The longest that a service may take to be ready."""
    stop_s: float
    """The longest that stopping takes."""
    socket: bool
    """Whether systemd opens the sockets."""
    waits_for_reload: bool
    """Whether a reload is over when `systemctl reload` is: systemd 253 or newer."""
    gpus: bool = False
    """Whether workers have GPUs."""
    limits: bool = False
    """Whether workers are promised memory or CPUs: then the daemon divides its control group."""


def units(service: Service) -> dict[str, str]:
    """The unit files, by name. Raises Unwritable."""
    stem = f"bentod-{service.name}"
    texts = {f"{stem}.service": _rendered("service.j2", _service_values(service, stem))}
    if service.socket:
        texts[f"{stem}.socket"] = _rendered("socket.j2", _socket_values(service, stem))
    return texts


def _service_values(service: Service, stem: str) -> dict[str, Any]:
    socket = f"{stem}.socket" if service.socket else ""
    driver = [_DRIVER] if service.gpus else []
    return {
        "title": f"{service.name} {service.version} (bentod)",
        "after": ["network-online.target", *driver, *([socket] if socket else [])],
        "socket": socket,
        "command": service.command,
        "directory": str(service.directory),
        "environ": [f"{name}={value}" for name, value in sorted(service.environ.items())],
        "user": service.user,
        "for_user": not service.user,
        "runtime": service.runtime,
        "start_s": service.start_s + START_S,
        "stop_s": service.stop_s + _STOP_S,
        "watchdog_s": _WATCHDOG_S,
        "capability": "CAP_NET_BIND_SERVICE" if not socket and any(map(_is_for_root, service.listen)) else "",
        "writable": f"-{service.writable}",
        "target": "multi-user.target" if service.user else "default.target",
        "waits_for_reload": service.waits_for_reload,
        "limits": service.limits,
    }


def _socket_values(service: Service, stem: str) -> dict[str, Any]:
    return {
        "title": f"{service.name} {service.version} (bentod)",
        "addresses": [_socket_address(address) for address in service.listen],
        "unix": any(address.startswith("unix:") for address in service.listen),
        "user": service.user,
        "service": f"{stem}.service",
    }


def _is_for_root(address: str) -> bool:
    port = address.rpartition(":")[2]
    return not address.startswith(("unix:", "fd:")) and 0 < int(port) <= _LAST_OF_ROOT


def _socket_address(address: str) -> str:
    """An entry of `server.listen` as systemd writes it. Raises Unwritable for one that only the daemon can open."""
    if address.startswith("unix:"):
        return address.removeprefix("unix:")
    host, _, port = address.rpartition(":")
    if address.startswith("fd:"):
        raise Unwritable(f"a socket unit cannot open {address}: `server.listen` has to say where")
    if int(port) == 0:
        raise Unwritable(f"a socket unit cannot open {address}: it needs a port of its own")
    if host == "localhost":
        return f"127.0.0.1:{port}"
    if zoned := _SIX_WITH_ZONE.fullmatch(address):
        return f"[{zoned[1]}]:{port}%{zoned[2]}"
    if not re.fullmatch(r"\[.*\]|[0-9.]+", host):
        raise Unwritable(f"a socket unit cannot open {address}: it needs an address in place of the name {host}")
    return address


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    return rendered(f"systemd/{template}", values, _FILTERS)


def _line(text: str) -> str:
    """`text` for one line, with what systemd would replace (`%h`) written so that it does not. Raises Unwritable."""
    if any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text):
        raise Unwritable(f"a unit file cannot say {text!r}: it has control characters, or is no UTF-8")
    return text.replace("%", "%%")


def _bare(value: str | Sequence[str]) -> Written:
    """A word, or some, of letters that mean nothing in any place."""
    words = [value] if isinstance(value, str) else value
    for word in words:
        if not _PLAIN.fullmatch(word):
            raise Unwritable(f"a unit file cannot say {word!r} here")
    return Written(" ".join(words))


def _rest(text: str) -> Written:
    """All that follows a `=`, taken as it is. What looks at the line's end would take it for something else."""
    line = _line(text)
    if line.strip() != line or line.endswith("\\"):
        raise Unwritable(f"a unit file cannot say {text!r}: it begins or ends with a space, or ends with a backslash")
    return Written(line)


def _path(text: str) -> Written:
    """A folder's absolute path, taken as it is; a slash after it changes nothing and protects its last letter."""
    line = _line(text)
    return Written(f"{line}/" if line.endswith((" ", "\\")) else line)


def _word(text: str) -> Written:
    """One word among others."""
    return Written('"' + _line(text).replace("\\", "\\\\").replace('"', '\\"') + '"')


def _command(words: Sequence[str]) -> Written:
    """A command whose words are taken as they are."""
    if set(words[0]) & set("\"'\\"):
        raise Unwritable(f"systemd starts no program with a quote or a backslash in its path: {words[0]}")
    return Written(" ".join([_word(f":{words[0]}"), *map(_word, words[1:])]))


def _seconds(seconds: float) -> Written:
    return Written(str(math.ceil(seconds)))


_FILTERS: Filters = {
    "bare": _bare,
    "rest": _rest,
    "path": _path,
    "word": _word,
    "command": _command,
    "seconds": _seconds,
}
