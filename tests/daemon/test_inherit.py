"""What a daemon hands over to its successor, over real socket pairs, with real descriptors."""

import asyncio
import fcntl
import os
import socket
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from bentod.daemon.inherit import Conversation, Failed, Handover, Ready, Yours, receive, send
from bentod.errors import StartError, WireError
from bentod.wire.frames import frame

HANDOVER = Handover(
    "0.1.0", 7, 3, "/run/a", "/tmp/a", "x", ("127.0.0.1:0", "fd://3"), ("unix:/s",), True, out={"GPU-0": "Xid 79"}
)


@contextmanager
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def opened():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_sockets_and_lock_arrive_open_and_not_for_children(tmp_path):
    before = opened()
    with pair() as (ours, theirs), socket.create_server(("127.0.0.1", 0)) as one, (tmp_path / "lock").open("w") as lock:
        send(ours, HANDOVER, lock.fileno(), [one.fileno(), one.fileno()])
        found = receive(theirs)
        assert found.handover == HANDOVER
        assert os.path.samestat(os.fstat(found.lock), os.fstat(lock.fileno()))
        assert not any(os.get_inheritable(number) for number in (found.lock, *found.sockets))
        for number in found.sockets:
            with socket.socket(fileno=number) as received:
                assert received.getsockname() == one.getsockname()
        os.close(found.lock)
    assert opened() == before


def test_a_lock_outlives_who_took_it(tmp_path):
    with pair() as (ours, theirs), (tmp_path / "lock").open("w") as other:
        with (tmp_path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            send(ours, Handover("1", 7, 1, "/r", "/f", "x", ()), lock.fileno(), [])
            found = receive(theirs)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(found.lock)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_many_long_addresses_arrive(tmp_path):
    addresses = tuple(f"unix:/{'x' * 90}{index}" for index in range(200))
    with pair() as (ours, theirs), (tmp_path / "lock").open("w") as lock:
        send(ours, Handover("1", 7, 1, "/r", "/f", "x", addresses), lock.fileno(), [lock.fileno()] * 200)
        found = receive(theirs)
        assert found.handover.addresses == addresses
        for number in (found.lock, *found.sockets):
            os.close(number)


def test_too_many_sockets_are_refused(tmp_path):
    with pair() as (ours, _), pytest.raises(StartError, match="251 listening sockets are too many"):
        send(ours, HANDOVER, 0, [0] * 251)


@pytest.mark.parametrize(
    ("sent", "numbers"),
    [
        (b"", 0),
        (frame(orjson.dumps({"says": "Yours"})), 1),
        (frame(b"no json"), 1),
        (frame(orjson.dumps({"says": "Handover", "version": "1"})), 1),
        (frame(b"[]"), 1),
        (b"\xff\xff\xff\xff", 2),
        (frame(orjson.dumps({"says": "Handover", **asdict(HANDOVER)})), 1),
    ],
)
def test_what_was_not_meant_is_refused_and_leaves_nothing_open(sent, numbers):
    before = opened()
    with pair() as (ours, theirs):
        if sent:
            socket.send_fds(ours, [sent], [0] * numbers)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(StartError, match="nothing was handed over"):
            receive(theirs)
    assert opened() == before


def test_who_is_sent_nothing_does_not_wait_for_ever():
    with pair() as (_, theirs), pytest.raises(StartError, match="timed out"):
        receive(theirs, 0.05)


def test_words_go_both_ways_until_one_side_is_gone():
    async def talk():
        ours, theirs = socket.socketpair()
        old, new = await Conversation.open(ours), await Conversation.open(theirs)
        said = [Ready("0.2.0", 12, 4, ("127.0.0.1:0",)), Failed("no", "Traceback"), Yours()]
        for word in said:
            await new.say(word)
        assert [await old.hear() for _ in said] == said
        await old.say(Yours())
        assert await new.hear() == Yours()
        new.close()
        assert await old.hear() is None
        await old.say(Yours())
        await old.say(Yours())
        old.close()

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (frame(orjson.dumps({"says": "Failed", "error": "no", "later": [1]})), Failed("no")),
        (frame(orjson.dumps({"says": "Unheard"})), WireError),
        (frame(orjson.dumps({"says": "Ready"})), WireError),
        (b"\xff\xff\xff\x7f", WireError),
        (b"\x09\x00", None),
    ],
)
def test_another_version_is_understood_as_far_as_possible(data, expected):
    async def hear():
        ours, theirs = socket.socketpair()
        listening = await Conversation.open(theirs)
        with ours:
            ours.sendall(data)
        try:
            return await listening.hear()
        finally:
            listening.close()

    if expected is WireError:
        with pytest.raises(WireError):
            asyncio.run(hear())
    else:
        assert asyncio.run(hear()) == expected
