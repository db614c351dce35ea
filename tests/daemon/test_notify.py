"""What the service manager is told, received on real sockets."""

import os
import socket
import time
from pathlib import Path

import pytest

from bentod.daemon.notify import Notifier, child_environ, watchdog_interval_s


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket, and its address."""
    abstract = request.param == "abstract"
    address = f"@bentod-test-{os.getpid()}-{tmp_path.name}" if abstract else f"/tmp/bn{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0" + address[1:] if abstract else address)
        bound.settimeout(5)
        yield bound, address
    if not abstract:
        Path(address).unlink()


def test_each_word_is_one_datagram(manager):
    bound, address = manager
    notifier = Notifier(address)
    assert notifier
    said = {
        "READY=1\nSTATUS=2 services": notifier.ready("2 services"),
        "READY=1": notifier.ready(),
        "STATUS=loading": notifier.status("loading"),
        "STOPPING=1": notifier.stopping(),
        "WATCHDOG=1": notifier.watchdog(),
        "MAINPID=17": notifier.main_pid(17),
        "EXTEND_TIMEOUT_USEC=1500000": notifier.extend(1.5),
    }
    assert [bound.recv(4096).decode() for _ in said] == list(said)
    assert set(said.values()) == {True}


def test_a_reload_says_when_it_began(manager):
    bound, address = manager
    before = time.monotonic_ns() // 1000
    assert Notifier(address).reloading("new code")
    words = dict(line.split("=", 1) for line in bound.recv(4096).decode().splitlines())
    assert words["RELOADING"] == "1"
    assert words["STATUS"] == "new code"
    assert before <= int(words["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0", "\u2028", "\x0b"])
def test_a_status_is_one_line_whatever_is_in_it(manager, separator):
    bound, address = manager
    assert Notifier(address).status(f"failed{separator}MAINPID=1{separator}" + "x" * 5000 + "\ud800")
    text = bound.recv(65536).decode()
    assert text.startswith("STATUS=failed MAINPID=1 xxx")
    assert len(text.splitlines()) == 1
    assert len(text) < 1100


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/no/such/socket", "/" + "x" * 200, "/a\0b"])
def test_without_a_manager_nothing_happens(address):
    notifier = Notifier(address)
    assert not any((notifier.ready("x"), notifier.reloading(), notifier.watchdog(), notifier.main_pid(1)))


def test_a_manager_that_does_not_read_is_not_waited_for(manager):
    bound, address = manager
    notifier = Notifier(address)
    begun = time.monotonic()
    assert not all(notifier.watchdog() for _ in range(20_000))
    assert time.monotonic() - begun < 10
    bound.recv(100)
    assert notifier.ready() or notifier.ready()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(environ, expected):
    assert watchdog_interval_s(environ, pid=7) == expected


def test_the_watchdog_means_this_process_by_itself():
    environ = {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}
    assert watchdog_interval_s(environ) == 2.0


def test_children_do_not_hear_of_it():
    ours = {
        "NOTIFY_SOCKET": "/n",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "2",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "2",
        "LISTEN_FDNAMES": "a",
    }
    others = {"PATH": "/bin", "LISTEN_ADDRESS": "mine", "INVOCATION_ID": "x"}
    assert child_environ({**ours, **others}) == others
