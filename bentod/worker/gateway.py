"""One gateway at a worker's socket, as blocking code sees it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence

from bentod.wire.intake import SEND_BUFFER, Frame, Intake, Memory
from bentod.worker.batches import Assembly
from bentod.worker.flow import Sendable

_SEND_TIMEOUT_S = 30  # a gateway that takes no answer for so long has stopped
_MOST_PIECES = 512


class Gateway:
    """Its connection, and what has come of its next frames."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT_S, 0))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.socket = peer
        self.assembly: Assembly | None = None
        self._intake = Intake()
        self._sending = threading.Lock()

    def receive(self) -> Sequence[Frame]:
        """The frames that are complete now. Raises BlockingIOError, ConnectionError at the end, OSError, WireError."""
        count = self.socket.recv_into(self._intake.buffer(), 0, socket.MSG_DONTWAIT)
        if not count:
            raise ConnectionError
        return self._intake.received(count)

    def send(self, data: Sendable) -> None:
        """Send a frame; a gateway that is gone or stuck loses its connection, and with it its calls."""
        try:
            with self._sending:
                if isinstance(data, bytes):
                    self.socket.sendall(data)
                else:
                    self._send_pieces(data)
        except OSError:
            self._end()

    def _send_pieces(self, pieces: Sequence[Memory]) -> None:
        """Send memory as it lies, without joining it first."""
        left = [memoryview(piece).cast("B") for piece in pieces]
        while left:
            sent = self.socket.sendmsg(left[:_MOST_PIECES])
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if sent:
                left[0] = left[0][sent:]

    def close(self) -> None:
        """Close the connection, after what another thread sends on it."""
        self._end()
        with self._sending:
            self.socket.close()

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
            self.socket.shutdown(socket.SHUT_RDWR)
