"""Where a server listens: `host:port`, `[v6]:port`, `unix:/path` or `fd://3`."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from bentod.spec.fields import without_controls, wrong
from bentod.spec.found import shown

LONGEST_SOCKET_PATH = 100
"""Linux takes 107 bytes; what bentod adds while it replaces a socket has to fit too."""

_HOST = re.compile(r"(?=.{1,253}:)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+:([0-9]{1,5})")
_SIX = re.compile(r"\[([0-9A-Fa-f:.%A-Za-z0-9_]+)\]:([0-9]{1,5})")
_DESCRIPTOR = re.compile(r"fd://([0-9]{1,6})")
_HINT = "such as `127.0.0.1:3000`, `[::1]:3000`, `unix:/run/app.sock` or `fd://3`"
_PATTERN = r"^(unix:/.+|fd://[0-9]+|\[.+\]:[0-9]+|[^:/]+:[0-9]+|.*\$\{.*)$"


def why_not(address: str) -> str:
    """What is wrong with `address`, or nothing."""
    if address.startswith("unix:"):
        return _why_not_path(address.removeprefix("unix:"))
    if address.startswith("fd:"):
        found = _DESCRIPTOR.fullmatch(address)
        return "" if found and int(found[1]) > 2 else "a file descriptor is written `fd://3`; 0, 1 and 2 are taken"
    match = _SIX.fullmatch(address) or _HOST.fullmatch(address)
    if match is None:
        return f"{shown(address)} is no address"
    if int(match[match.lastindex or 0]) > 65535:
        return "a port is at most 65535"
    return _why_not_host(match[1]) if address.startswith("[") else _why_not_v4(address.rpartition(":")[0])


def _why_not_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/"):
        return "a Unix socket needs an absolute path of a file"
    length = len(path.encode())
    if length > LONGEST_SOCKET_PATH:
        return f"the socket's path has {length} bytes; at most {LONGEST_SOCKET_PATH} are possible"
    return ""


def _why_not_host(host: str) -> str:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return f"{shown(host)} is no IPv6 address"
    return ""


def _why_not_v4(host: str) -> str:
    if not re.fullmatch(r"[0-9.]+", host):
        return ""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return f"{shown(host)} is no IPv4 address"
    return ""


def _checked(address: Any) -> str:
    if not isinstance(address, str):
        raise wrong("wrong-type", f"expected an address, found {shown(address)}", _HINT)
    if reason := why_not(without_controls(address)):
        raise wrong("wrong-value", reason, _HINT)
    return str(address)


def _one_or_more(value: Any) -> Any:
    if not isinstance(value, list):
        return (_checked(value),)
    if not value:
        raise wrong("wrong-value", "at least one address is needed", _HINT)
    if any(item in value[:index] for index, item in enumerate(value)):
        raise wrong("wrong-value", "an address is written twice")
    return tuple(value)


_ADDRESS = {"type": "string", "pattern": _PATTERN}
Listen = Annotated[
    tuple[Annotated[str, BeforeValidator(_checked)], ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [_ADDRESS, {"type": "array", "items": _ADDRESS, "minItems": 1, "uniqueItems": True}]}),
]
