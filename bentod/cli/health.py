"""`bentod health`: whether the daemon can take calls, for the health check of a container. It is asked every few
seconds, so it imports next to nothing."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bentod.cli.options import add_files
from bentod.daemon.folders import located
from bentod.errors import BentodError

_LIMIT_S = 5.0
_NAMES = ("bentofile.yaml", "bentofile.yml", "bentofile.toml")
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104 - asked for, not bound

HEALTHY, UNHEALTHY = 0, 1
"""The exit codes: those that container engines know."""


class _Unhealthy(BentodError):
    """Says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)


def run(args: argparse.Namespace) -> int:
    """0: every service is ready. 1: not so, or nobody answers."""
    try:
        with _limited():
            url = _url(args.files)
            status, text = _get(url, "/readyz")
    except (OSError, http.client.HTTPException, ValueError, BentodError) as error:
        print(f"bentod: {str(error) or type(error).__name__}", file=sys.stderr)
        return UNHEALTHY
    print(text.strip())
    return HEALTHY if status == http.client.OK else UNHEALTHY


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raises TimeoutError in the block once that takes too long, whatever it waits for."""

    def late(*_: object) -> None:
        raise TimeoutError(f"no answer within {_LIMIT_S:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _url(files: Sequence[Path]) -> str:
    """Where the daemon of the spec listens; without a spec, where the environment says that one does. Raises
    _Unhealthy, OSError."""
    spec = next(iter([*files, *(Path(name) for name in _NAMES if Path(name).is_file())]), None)
    listen = os.environ.get("BENTOD_LISTEN")
    if spec is not None:
        run = os.environ.get("BENTOD_RUN")
        control = located(spec.absolute(), os.environ, Path(run) if run else None, None).control
        if control.exists():
            return _served(control)
    if spec is None and listen:
        return _first(listen)
    what = f"no daemon runs {spec}" if spec is not None else "no spec is here, and BENTOD_LISTEN names no address"
    raise _Unhealthy(f"{what}; `-f` names the spec")


def _served(control: Path) -> str:
    """The first address of the daemon with this control socket."""
    status, text = _get(f"unix:{control}", "/status")
    found = json.loads(text) if status == http.client.OK else {}
    if not found.get("url"):
        raise _Unhealthy(f"the daemon listens nowhere: it is {found.get('state', 'in trouble')}")
    return str(found["url"])


def _first(listen: str) -> str:
    """The first of the addresses in BENTOD_LISTEN. Raises SpecError, _Unhealthy."""
    from bentod.daemon.overrides import overrides  # where to ask is seldom found so

    address = overrides({**os.environ, "BENTOD_LISTEN": listen}).listen[0]
    if address.startswith("fd:"):
        raise _Unhealthy(f"{address} can be reached by nobody else; `-f` names the spec")
    if address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    return f"http://{_ANY.get(host, host)}:{port}"


class _Unix(http.client.HTTPConnection):
    """Connects to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("bentod", timeout=_LIMIT_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_LIMIT_S)
        self.sock.connect(self._path)


def _get(url: str, path: str) -> tuple[int, str]:
    """Status and body of a GET. Raises OSError, HTTPException, _Unhealthy."""
    kind, _, rest = url.partition(":")
    connection: Any = _Unix(rest) if kind == "unix" else _connection(rest.removeprefix("//"))
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
        except (ConnectionError, FileNotFoundError):
            raise _Unhealthy(f"nobody answers at {url}") from None
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")


def _connection(address: str) -> http.client.HTTPConnection:
    host, _, port = address.rpartition(":")
    return http.client.HTTPConnection(host.removeprefix("[").removesuffix("]"), int(port), timeout=_LIMIT_S)
