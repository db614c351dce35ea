"""Control channels: messages in order, the peer's end is an end, rubbish is an error."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from bentod.errors import WireError
from bentod.wire.blocking import BlockingChannel
from bentod.wire.channel import Channel
from bentod.wire.frames import LIMIT, frame
from bentod.wire.messages import Drain, Failed, Probe, Probed, encode
from tests.support.loops import LOOPS, run

MESSAGES = [Drain(1.0), Probe(), Failed("import", "x" * 300_000), Probed(ok=True)]


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


def test_messages_arrive_in_order_in_both_directions(loop):
    async def main():
        left, right = socket.socketpair()
        one, other = await Channel.open(left), await Channel.open(right)
        for message in MESSAGES:
            one.send(message)
        assert [await other.receive() for _ in MESSAGES] == MESSAGES
        other.send(Probe())
        assert await one.receive() == Probe()
        one.close()
        other.close()

    run(main(), loop)


def test_what_was_sent_before_the_end_is_still_received_and_the_end_stays(loop):
    async def main():
        left, right = socket.socketpair()
        with left:
            left.sendall(frame(encode(Drain(2.0))) + frame(encode(Probe())))
        channel = await Channel.open(right)
        assert [await channel.receive() for _ in range(4)] == [Drain(2.0), Probe(), None, None]
        channel.send(Probe())  # to nobody
        channel.close()

    run(main(), loop)


def test_a_frame_cut_off_by_the_end_is_no_message(loop):
    async def main():
        left, right = socket.socketpair()
        with left:
            left.sendall(frame(encode(Drain(2.0)))[:-1])
        channel = await Channel.open(right)
        assert await channel.receive() is None

    run(main(), loop)


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(frame(b"\xc1"), id="not MessagePack"),
        pytest.param((LIMIT + 1).to_bytes(4, "little"), id="over the limit"),
        pytest.param(frame(b"\x92\xa5Drain\x05"), id="fields are a number"),
    ],
)
def test_rubbish_is_an_error_and_ends_the_channel(rubbish, loop):
    async def main():
        left, right = socket.socketpair()
        with left:
            channel = await Channel.open(right)
            left.sendall(frame(encode(Probe())))
            assert await channel.receive() == Probe()
            left.sendall(rubbish)
            with pytest.raises(WireError):
                await channel.receive()
            with pytest.raises(WireError):
                await channel.receive()
            left.settimeout(20)
            assert left.recv(1) == b""

    run(main(), loop)


def test_closing_an_end_ends_both(loop):
    async def main():
        left, right = socket.socketpair()
        one, other = await Channel.open(left), await Channel.open(right)
        one.close()
        assert await one.receive() is None
        assert await other.receive() is None
        one.send(Probe())
        other.send(Probe())

    run(main(), loop)


def test_of_a_peer_that_has_ended_what_it_said_is_received_though_its_end_is_held(loop):
    async def main():
        left, right = socket.socketpair()
        with right:
            channel = await Channel.open(left)
            right.sendall(frame(encode(Drain(2.0))) + frame(encode(Probe())))
            channel.ended()
            assert [await channel.receive() for _ in range(4)] == [Drain(2.0), Probe(), None, None]
            channel.close()
            channel.ended()

    run(main(), loop)


def test_the_blocking_end_speaks_the_same():
    async def main():
        left, right = socket.socketpair()
        with right:
            channel, blocking = await Channel.open(left), BlockingChannel(right)
            for message in MESSAGES:
                channel.send(message)
            received = await asyncio.to_thread(lambda: [blocking.receive() for _ in MESSAGES])
            assert received == MESSAGES
            blocking.send(MESSAGES[0])
            assert await channel.receive() == MESSAGES[0]
            channel.close()
            assert await asyncio.to_thread(blocking.receive) is None

    run(main())


def test_the_blocking_end_takes_messages_byte_by_byte():
    left, right = socket.socketpair()
    with left, right:
        stream = b"".join(frame(encode(message)) for message in (Drain(1.0), Probe()))
        sender = threading.Thread(target=lambda: [left.sendall(bytes([byte])) for byte in stream])
        sender.start()
        channel = BlockingChannel(right)
        assert [channel.receive(), channel.receive()] == [Drain(1.0), Probe()]
        sender.join()
        left.sendall(frame(b"\xc1"))
        with pytest.raises(WireError):
            channel.receive()


def test_the_blocking_end_says_when_nobody_listens():
    left, right = socket.socketpair()
    with right:
        left.close()
        channel = BlockingChannel(right)
        assert channel.receive() is None
        with pytest.raises(OSError, match=r".+"):
            channel.send(Probe())


def test_a_reset_peer_is_gone_too(tmp_path: Path):
    """A peer that dies with bytes unread resets a Unix socket."""
    left, right = socket.socketpair()
    with right:
        right.sendall(b"never read")
        left.close()
        assert BlockingChannel(right).receive() is None
