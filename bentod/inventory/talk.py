"""A conversation with the process that asks the driver: questions one after another, and news in between."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bentod.errors import BentodError
from bentod.inventory.child import LONGEST_LINE, NONSENSE, ended, question, silent, understood
from bentod.inventory.gpus import Gpus
from bentod.plan.inventory import DeviceEvent

_FAREWELL_S, _END_S = 0.3, 1.0


class Unanswered(BentodError):
    """The child did not answer; the text says why."""


class Talk:
    """One child. `begin` starts it, `stop` ends it; `over`: it says nothing any more."""

    def __init__(self, process: Process, on_event: Callable[[DeviceEvent], None]) -> None:
        self._process = process
        self._on_event = on_event
        self._number = 0
        self._answer: asyncio.Future[Gpus] | None = None
        self._why = ""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def begin(
        cls, command: Sequence[str], environ: Mapping[str, str], on_event: Callable[[DeviceEvent], None]
    ) -> Talk:
        """Start a child that sees `environ`. Raises Unanswered."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=dict(environ),
                limit=LONGEST_LINE,
                process_group=0,
            )
        except OSError as error:
            raise Unanswered(f"NVIDIA's driver cannot be asked: {error.strerror or error}") from None
        return cls(process, on_event)

    @property
    def over(self) -> bool:
        """Whether it has said its last."""
        return self._reading.done()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    async def ask(self, timeout_s: float) -> Gpus:
        """What the driver says now. Raises Unanswered; then this is over."""
        assert self._process.stdin is not None
        self._number += 1
        self._answer = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ConnectionError):  # its end says more
            self._process.stdin.write(question(self._number))
        either: set[asyncio.Future[Any]] = {self._answer, self._reading}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._answer.done():
            return self._answer.result()
        raise Unanswered(self._why if self._reading.done() else silent(timeout_s))

    async def stop(self) -> None:
        """It ends by itself, or is killed. One that hangs in the kernel is left to it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _FAREWELL_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _END_S)
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _read(self) -> None:
        """Until its end. What cannot be understood is the end, too."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._hear(understood(line))
        except ValueError as error:  # readline's, too: a line that is too long
            self._why = str(error) if str(error).startswith(NONSENSE) else NONSENSE
            return
        status: int | None = None
        with contextlib.suppress(TimeoutError):
            status = await asyncio.wait_for(self._process.wait(), _END_S)
        self._why = ended(status)

    def _hear(self, said: tuple[int, Gpus] | DeviceEvent) -> None:
        if isinstance(said, DeviceEvent):
            self._on_event(said)
        elif said[0] == self._number and self._answer is not None and not self._answer.done():
            self._answer.set_result(said[1])
