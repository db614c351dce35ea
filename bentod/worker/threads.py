"""Serves synchronous methods: one thread at a time waits for calls, the others run them.

A thread that takes a call leaves the waiting to the next one, so a call never changes threads between the socket and
the callable; with `threads: 1` everything happens in the main thread. (The "leader/followers" pattern: Schmidt et al.,
Pattern-Oriented Software Architecture 2, 2000.)
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable

from bentod.errors import WireError
from bentod.wire.entries import CANCEL, Entry, EntryPacker, same_user, unpack
from bentod.wire.frames import Splitter
from bentod.worker.calls import Caller, cancelled

_READ = 262144
_SEND_TIMEOUT_S = 30  # a gateway that takes no answer for so long has stopped


class _Connection:
    """A gateway."""

    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        self.splitter = Splitter()
        self.sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """Send an answer; a gateway that is gone or stuck loses its connection, and with it its calls."""
        try:
            with self.sending:
                self.socket.sendall(data)
        except OSError:
            self.abandon()

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
            self.socket.shutdown(socket.SHUT_RDWR)


class ThreadServer:
    """Runs calls in `threads` threads until it is drained."""

    def __init__(self, listener: socket.socket, threads: int, caller: Callable[[], Caller]) -> None:
        self._listener = listener
        self._threads = threads
        self._caller = caller
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._connections: dict[int, _Connection] = {}
        self._waiting: deque[tuple[_Connection, Entry]] = deque()
        self._packer = EntryPacker()
        self._leading = threading.Lock()
        self._draining = False

    def serve(self) -> None:
        """Serve until `drain` was called and every gateway has gone."""
        others = [threading.Thread(target=self._run, name=f"call-{n}", daemon=True) for n in range(1, self._threads)]
        for thread in others:
            thread.start()
        self._run()
        for thread in others:
            thread.join()

    def drain(self) -> None:
        """Take no new gateway, and end once those that are connected have gone. From any thread."""
        self._draining = True
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        caller = self._caller()
        while True:
            with self._leading:
                while not self._waiting:
                    if self._draining and not self._connections:
                        return
                    self._receive()
                connection, entry = self._waiting.popleft()
            connection.send(caller.run(entry))

    def _receive(self) -> None:
        for descriptor, _ in self._poll.poll():
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor == self._wake_read:
                self._poll.unregister(self._wake_read)
            else:
                self._read(self._connections[descriptor])

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return  # the gateway gave up while it waited
        if self._draining or not same_user(peer, os.getuid()):
            peer.close()
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT_S, 0))
        self._connections[peer.fileno()] = _Connection(peer)
        self._poll.register(peer, select.EPOLLIN)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_READ, socket.MSG_DONTWAIT)
            payloads = connection.splitter.feed(data)
            if not data:
                self._forget(connection)
            for payload in payloads:
                self._take(connection, unpack(payload))
        except BlockingIOError:
            return
        except (OSError, WireError):
            self._forget(connection)

    def _take(self, connection: _Connection, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry[0] == CANCEL:
                self._cancel(connection, entry[1])
            else:
                self._waiting.append((connection, entry))

    def _cancel(self, connection: _Connection, call: int) -> None:
        """Give a call back that has not begun; one that has begun cannot be stopped."""
        for item in self._waiting:
            if item[0] is connection and item[1][1] == call:
                self._waiting.remove(item)
                connection.send(self._packer.frames([self._packer.entry(cancelled(call))]))
                return

    def _forget(self, connection: _Connection) -> None:
        """The gateway is gone, and so are its waiting calls."""
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        self._waiting = deque(item for item in self._waiting if item[0] is not connection)
        connection.socket.close()
