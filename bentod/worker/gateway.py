"""One gateway at a worker's socket, as blocking code sees it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence

from bentod.wire.intake import SEND_BUFFER, Frame, Intake, Memory
from bentod.worker.batches import Assembly
from bentod.worker.flow import Sendable

_SEND_TIMEOUT_S = 30  # a gateway that takes no answer for so long has stopped
_MOST_PIECES = 512
_MOST_NOTES = 65536


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


class SharingGateway(Gateway):
    """One of several, to whom another thread can say something short without waiting."""

    def __init__(self, peer: socket.socket) -> None:
        super().__init__(peer)
        self._notes: deque[bytes] = deque()

    @property
    def noted(self) -> bool:
        """Whether something waits to be said."""
        return bool(self._notes)

    def note(self, words: bytes) -> None:
        """Let something short wait for `flush`, or for what is sent next."""
        self._notes.append(words)
        if len(self._notes) > _MOST_NOTES:
            self._end()

    def flush(self) -> None:
        """Say what was noted, without waiting for who sends, who will say it then, nor for a gateway that is slow."""
        while self._notes and self._sending.acquire(blocking=False):
            words = self._taken_notes()
            try:
                sent = self.socket.send(words, socket.MSG_DONTWAIT)
                if sent < len(words):
                    self._notes.appendleft(words[sent:])
            except BlockingIOError:
                self._notes.appendleft(words)
                return
            except OSError:
                self._end()
                return
            finally:
                self._sending.release()

    def send(self, data: Sendable) -> None:
        try:
            with self._sending:
                if self._notes:  # first: they may be the rest of what is said already
                    self.socket.sendall(self._taken_notes())
                self._send_pieces([data] if isinstance(data, bytes) else data)
        except OSError:
            self._end()
        if self._notes:
            self.flush()

    def _taken_notes(self) -> bytes:
        return b"".join(self._notes.popleft() for _ in range(len(self._notes)))
