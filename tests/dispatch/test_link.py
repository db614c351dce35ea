"""A link over a real Unix socket: entries of one turn together, every loss told once."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from bentod.codec.parcels import Parcel, opener
from bentod.dispatch.link import SocketLink
from bentod.iotypes.parts import Blob, Tensor
from bentod.wire.entries import CANCEL, CHUNK, DONE, EntryPacker, unpack
from bentod.wire.frames import LIMIT, frame
from bentod.wire.intake import Intake, attached
from tests.support.gateways import frames
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
        intake = Intake()
        while data := await reader.read(65536):
            for payload, attachments in frames(data, intake):
                self.payloads.append(unpack(payload, opener(attachments)))
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


def parcelled(entry) -> tuple[EntryPacker, bytes, list]:
    """An entry with parts, packed, and its memory."""
    parcel = Parcel()
    packer = EntryPacker(default=parcel.extension)
    return packer, packer.entry(entry), parcel.clear()


def test_attachments_travel_in_order_with_small_entries(path, loop):
    """Neither overtakes the other, in one turn and over several."""

    async def main():
        ears, packer = Ears(), EntryPacker()
        async with Peer(path) as peer:
            link = await linked(peer, ears)
            sent = []
            for number in range(40):
                entry = [CHUNK, number, Blob(bytes([number]) * 300_000) if number % 3 == 1 else None]
                sent.append(entry)
                _, packed, memory = parcelled(entry)
                link.send(packed, memory)
                if number % 7 == 0:
                    await asyncio.sleep(0)
            await until(lambda: sum(map(len, peer.payloads)) == 40)
            assert [entry for payload in peer.payloads for entry in payload] == sent
            assert any(len(payload) > 1 for payload in peer.payloads)
            link.send(packer.entry((CANCEL, 7)))  # after large ones, the ordinary way is open again
            await until(lambda: peer.payloads[-1] == [[CANCEL, 7]])

    run(main(), loop)


def test_answers_with_parts_are_heard_with_their_parts(path, loop):
    async def main():
        ears = Ears()
        async with Peer(path) as peer:
            await linked(peer, ears)
            answer = [DONE, 1, 0.5, {"a": Tensor("uint8", (200_000,), b"x" * 200_000), "b": [Blob(b"small")]}]
            packer, packed, memory = parcelled(answer)
            data = b"".join(packer.attached(packed, memory)) + packer.frames([packer.entry((DONE, 2, 0.5, None))])
            for start in range(0, len(data), 65_537):
                peer.writer.write(data[start : start + 65_537])
                await peer.writer.drain()
            await until(lambda: len(ears.heard) == 2)
            assert ears.heard == [answer, [DONE, 2, 0.5, None]]

    run(main(), loop)


NOT_THERE = parcelled((DONE, 1, 0.5, Blob(b"x" * 5000)))


def test_a_link_that_is_closed_swallows_what_is_large(path, loop):
    async def main():
        ears = Ears()
        async with Peer(path) as peer:
            link = await linked(peer, ears)
            link.close()
            link.send(NOT_THERE[1], NOT_THERE[2])
            await until(lambda: ears.losses and peer.ended)
            assert peer.payloads == []

    run(main(), loop)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(NOT_THERE[0].frames([NOT_THERE[1]]), id="an attachment that is not there"),
        pytest.param(b"".join(attached(b"\x91" + NOT_THERE[1], [])), id="no attachment after all"),
        pytest.param(frame(b"\x91\x94\x00\x01\x00\xd4\x07\x00"), id="unknown extension"),
        pytest.param(b"\0\0\0\x80\xff\xff\0\0", id="too many attachments"),
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
