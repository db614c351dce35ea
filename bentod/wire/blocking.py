"""The blocking end of a control channel, for a worker: it has no event loop, and does not import one."""

from __future__ import annotations

import socket
import threading

from bentod.wire.frames import Splitter, frame
from bentod.wire.orders import Order, decode, encode

_READ = 65536


class BlockingChannel:
    """Sends and receives orders and reports. Any thread may send."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._splitter = Splitter()
        self._pending: list[bytes] = []
        self._sending = threading.Lock()

    def send(self, message: Order) -> None:
        """Send a message. Raises OSError if the peer is gone."""
        data = frame(encode(message))
        with self._sending:
            self._socket.sendall(data)

    def receive(self) -> Order | None:
        """Wait for the next message; None once the peer is gone. Raises WireError."""
        while not self._pending:
            try:
                data = self._socket.recv(_READ)
            except ConnectionError:
                return None
            if not data:
                return None
            self._pending.extend(self._splitter.feed(data))
        return decode(self._pending.pop(0))
