"""A link over a real Unix socket: entries of one turn together, every loss told once."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from bentod.dispatch.link import SocketLink
from bentod.wire.entries import CANCEL, DONE, EntryPacker, unpack
from bentod.wire.frames import LIMIT, Splitter, frame
from tests.support.loops import LOOPS, run, until


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


@pytest.fixture
def path():
    folder = Path(tempfile.mkdtemp(prefix="bt"))
    yield str(folder / "w")
    shutil.rmtree(folder)


class Peer:
    """A worker's end."""

    def __init__(self, path: str):
        self.path = path
        self.payloads: list[list] = []
        self.writer: asyncio.StreamWriter
        self.ended = False

    async def __aenter__(self):
        self.connected = asyncio.Event()
        self.server = await asyncio.start_unix_server(self.serve, self.path)
        return self

    async def __aexit__(self, *exc):
        self.server.close()
        if self.connected.is_set():
            self.writer.close()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        self.writer = writer
        self.connected.set()
        splitter = Splitter()
        while data := await reader.read(65536):
            self.payloads += map(unpack, splitter.feed(data))
        self.ended = True


class Ears:
    """What a dispatcher would hear."""

    def __init__(self):
        self.heard: list = []
        self.losses = 0

    def lost(self):
        self.losses += 1


async def linked(peer: Peer, ears: Ears) -> SocketLink:
    link = await SocketLink.open(peer.path, EntryPacker(), ears.heard.extend, ears.lost)
    await peer.connected.wait()
    return link


def test_entries_of_one_turn_travel_together_and_answers_come_back(path, loop):
    async def main():
        ears, packer = Ears(), EntryPacker()
        async with Peer(path) as peer:
            link = await linked(peer, ears)
            for number in range(3):
                link.send(packer.entry((CANCEL, number)))
            await until(lambda: peer.payloads)
            link.send(packer.entry((CANCEL, 3)))
            await until(lambda: len(peer.payloads) == 2)
            assert peer.payloads == [[[CANCEL, 0], [CANCEL, 1], [CANCEL, 2]], [[CANCEL, 3]]]
            for byte in packer.frames([packer.entry((DONE, 1, 0.5, "x")), packer.entry((DONE, 2, 0.5, None))]):
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
            await until(lambda: len(ears.heard) == 2)
            assert ears.heard == [[DONE, 1, 0.5, "x"], [DONE, 2, 0.5, None]]
            link.close()
            await until(lambda: ears.losses and peer.ended)
            link.send(packer.entry((CANCEL, 4)))  # to nobody
            await asyncio.sleep(0)
            assert ears.losses == 1

    run(main(), loop)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(frame(b"\xc1"), id="not MessagePack"),
        pytest.param((LIMIT + 1).to_bytes(4, "little"), id="over the limit"),
        pytest.param(frame(b"\x05"), id="no list"),
    ],
)
def test_a_worker_that_talks_rubbish_is_lost_once(path, loop, lie):
    async def main():
        ears = Ears()
        async with Peer(path) as peer:
            await linked(peer, ears)
            peer.writer.write(lie)
            await until(lambda: ears.losses)
            await until(lambda: peer.ended)
            assert (ears.losses, ears.heard) == (1, [])

    run(main(), loop)


@pytest.mark.parametrize("error", [KeyError, ValueError, TypeError, IndexError])
def test_an_answer_that_nobody_understands_ends_the_link(path, loop, error):
    async def main():
        ears, packer = Ears(), EntryPacker()

        def refuse(entries):
            raise error(entries)

        async with Peer(path) as peer:
            await SocketLink.open(peer.path, packer, refuse, ears.lost)
            await peer.connected.wait()
            peer.writer.write(packer.frames([packer.entry((DONE, 1))]))
            await until(lambda: ears.losses and peer.ended)
            assert ears.losses == 1

    run(main(), loop)


def test_a_worker_that_goes_away_is_lost_once(path, loop):
    async def main():
        ears = Ears()
        async with Peer(path) as peer:
            link = await linked(peer, ears)
            peer.writer.close()
            await until(lambda: ears.losses)
            link.close()
            await asyncio.sleep(0)
            assert ears.losses == 1

    run(main(), loop)


def test_nobody_at_the_path_is_an_os_error(path, loop):
    async def main():
        with pytest.raises(OSError, match=r".+"):
            await SocketLink.open(path, EntryPacker(), lambda _: None, lambda: None)

    run(main(), loop)


def test_a_worker_of_another_user_gets_nothing(path, loop, monkeypatch):
    async def main():
        ears, packer = Ears(), EntryPacker()
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        async with Peer(path) as peer:
            link = await SocketLink.open(peer.path, packer, ears.heard.extend, ears.lost)
            link.send(packer.entry((CANCEL, 1)))
            await until(lambda: ears.losses and peer.ended)
            assert (ears.losses, peer.payloads) == (1, [])

    run(main(), loop)
