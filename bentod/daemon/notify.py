"""What the daemon tells the service manager that started it, by systemd's protocol: sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

_LONGEST_STATUS = 1000
_OURS_ALONE = frozenset(
    ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
)


class Notifier:
    """Sends to the address in `$NOTIFY_SOCKET`; without one it does nothing. Every method says whether the manager
    took it: it may be gone, or so busy that its socket is full. None of them waits, and none raises."""

    def __init__(self, address: str) -> None:
        self._address = _socket_address(address)

    def __bool__(self) -> bool:
        """Whether somebody is told."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """The start, or a reload, is over."""
        return self._send("READY=1", *_status(status))

    def reloading(self, status: str = "") -> bool:
        """A reload begins; `ready` tells its end, whether it succeeded or not."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def stopping(self) -> bool:
        """The end begins."""
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        """Still alive."""
        return self._send("WATCHDOG=1")

    def main_pid(self, pid: int) -> bool:
        """Another process is the main one from now on. Only its words count afterwards."""
        return self._send(f"MAINPID={pid}")

    def extend(self, seconds: float) -> bool:
        """What is being done (start, reload, stop) takes at most so much longer, counted from now."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def mute(self) -> None:
        """Another process speaks from now on."""
        self._address = None

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
                end.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except (OSError, ValueError):
            return False
        return True


def watchdog_interval_s(environ: Mapping[str, str], pid: int | None = None) -> float | None:
    """How often `watchdog` should be called: twice in the time after which the manager kills. None: it does not watch
    this process."""
    meant = environ.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid() if pid is None else pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 2_000_000 if text.isdecimal() and int(text) > 0 else None


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what the service manager said to this process alone."""
    return {name: value for name, value in environ.items() if name not in _OURS_ALONE}


def _socket_address(address: str) -> str | bytes | None:
    """For `sendto`. None for no address, and for kinds that are not served: `vsock:` is for virtual machines."""
    if address.startswith("@"):
        return b"\0" + os.fsencode(address[1:])
    return address if address.startswith("/") else None


def _status(text: str) -> list[str]:
    """One line, whatever is in it: each line of a message is a word of its own to the manager."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return [f"STATUS={line[:_LONGEST_STATUS]}"] if line else []
