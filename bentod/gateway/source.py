"""The body of one exchange, as the codecs read it: within the API's limit and its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bentod.gateway.exchange import Exchange, too_slow


class Source:
    """Reading it raises BodyTooLarge, BodyTimeout and ClientGone."""

    def __init__(self, exchange: Exchange, limit: int, timeout_s: float) -> None:
        self._exchange = exchange
        self._limit = limit
        self._timeout_s = timeout_s

    async def whole(self) -> bytes | bytearray:
        """All of it."""
        return await self._exchange.body(self._limit, self._timeout_s)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, as it comes; the time counts for all chunks together."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout_s
        chunks = self._exchange.chunks(self._limit)
        try:
            while True:
                async with asyncio.timeout_at(end):
                    chunk = await anext(chunks)
                yield chunk
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise too_slow(self._timeout_s) from None
