"""The folders of calls that have files: made by need, and gone when neither the client nor a worker can want them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bentod.codec.folder import CallFolder
from bentod.codec.writer import Body
from bentod.dispatch.call import Call
from bentod.errors import InvalidOutput
from bentod.gateway import problems
from bentod.gateway.exchange import Exchange
from bentod.gateway.record import Header

_PIECE = 256 * 1024


def own_folder(parent: Path, index: int) -> Path:
    """The folder of this gateway process, made; what its predecessors left is removed."""
    for left in parent.glob(f"{index}-*"):
        shutil.rmtree(left, ignore_errors=True)
    own = parent / f"{index}-{os.getpid()}"
    own.mkdir(mode=0o700, parents=True)
    return own


class Tenancy(CallFolder):
    """A call's folder, which its client and its worker share. `call` is set once the call was admitted."""

    __slots__ = ("call",)

    def __init__(self, parent: Path, name: str) -> None:
        super().__init__(parent, name)
        self.call: Call | None = None

    def leave(self) -> None:
        """The client needs the folder no more; it goes at once, or when the worker has let go of the call."""
        if self.call is None or self.call.released:
            self._go()
        else:
            self.call.on_released = self._go

    def _go(self) -> None:
        if self.path.exists():  # the callable may have made it
            with suppress(RuntimeError):  # the loop is closing: the daemon removes what is left
                asyncio.get_running_loop().run_in_executor(None, self.remove)


async def send(exchange: Exchange, status: int, body: Body, headers: Sequence[Header]) -> None:
    """Answer with a file, from disk, whatever its size. Raises InvalidOutput if it cannot be opened, ClientGone."""
    assert body.file is not None
    try:
        opened = await asyncio.to_thread(Path(body.file.path).open, "rb")
    except OSError as error:
        raise InvalidOutput(log=f"the file that was returned cannot be read: {error.strerror}") from None
    with opened:
        left = os.fstat(opened.fileno()).st_size
        exchange.code = "ok"
        await exchange.begin(status, body.media_type.encode("latin-1"), headers, left)
        while left:
            piece = await asyncio.to_thread(opened.read, min(left, _PIECE))
            if not piece:
                exchange.code = problems.KINDS[InvalidOutput].code
                exchange.log = "the file that was returned became shorter while it was sent"
                exchange.abort()
                return
            left -= len(piece)
            await exchange.more(piece)
        await exchange.end()
