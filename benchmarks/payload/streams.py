"""Reads many streams at once, cheaply: `python streams.py PORT STREAMS TOKENS PAUSE SECONDS`. Prints JSON.

Each connection asks for streams, one after the other, until the time is over. Sockets and bytes only: events are
counted, and nothing but the first of each stream is looked at.
"""

import asyncio
import json
import re
import sys
import time

import uvloop

FIRST = re.compile(rb'data: "([\d.]+)"')


class Reader(asyncio.Protocol):
    """One connection."""

    def __init__(self, request, tokens, until):
        self.request = request
        self.tokens = tokens
        self.until = until
        self.chunks = self.streams = 0
        self.delays = []
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.count = 0
        self.first = False
        self.tail = b""
        self.transport.write(self.request)

    def data_received(self, data):
        now = time.monotonic()
        data = self.tail + data
        if not self.first:
            found = FIRST.search(data)
            if found is None:
                if not data.startswith(b"HTTP/1.1 200"[: len(data)]):
                    self.fail(data)
                self.tail = data
                return
            self.first = True
            self.delays.append(now - float(found[1]))
        self.count += data.count(b'\ndata: "')
        self.tail = data[-7:]
        if data.endswith(b"\r\n0\r\n\r\n"):
            self.end(data)

    def end(self, data):
        if self.count != self.tokens:
            self.fail(data)
            return
        self.chunks += self.tokens
        self.streams += 1
        if time.monotonic() < self.until:
            self.ask()
        else:
            self.transport.close()
            self.ended.set_result(None)

    def fail(self, data):
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(f"{self.count} chunks, then {data[-300:]!r}"))
        self.transport.close()

    def connection_lost(self, error):
        if not self.ended.done():
            self.ended.set_exception(error or RuntimeError(f"closed after {self.count} chunks"))


async def main(port, streams, tokens, pause, seconds):
    body = json.dumps({"count": tokens, "pause": pause})
    head = f"POST /tokens HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = (head + body).encode()
    begun, used = time.monotonic(), time.process_time()
    loop = asyncio.get_running_loop()
    readers = [
        (await loop.create_connection(lambda: Reader(request, tokens, begun + seconds), "127.0.0.1", port))[1]
        for _ in range(streams)
    ]
    await asyncio.gather(*(reader.ended for reader in readers))
    took = time.monotonic() - begun
    delays = sorted(delay for reader in readers for delay in reader.delays)
    result = {
        "rate": sum(reader.chunks for reader in readers) / took,
        "p50": delays[len(delays) // 2] * 1e3,
        "p99": delays[len(delays) * 99 // 100] * 1e3,
        "streams": len(delays),
        "busy": (time.process_time() - used) / took,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    port, streams, tokens, pause, seconds = sys.argv[1:]
    uvloop.run(main(int(port), int(streams), int(tokens), float(pause), float(seconds)))
