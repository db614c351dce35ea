"""What the user's code forks has none of a worker's sockets."""

import os
import socket
from pathlib import Path

import pytest

from bentod.worker import forks


def asked(question) -> int:
    """The small number that it comes to in a process forked now."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 255
    try:
        code = question()
    finally:
        os._exit(code)


def still_connected(number: int) -> bool:
    """Whether a descriptor is a socket, in a process forked now."""
    return asked(lambda: int(str(Path(f"/proc/self/fd/{number}").readlink()).startswith("socket:"))) == 1


@pytest.fixture
def severed(monkeypatch):
    """Has `sever` count for this test only: what is registered can never be taken back."""
    found = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: found.append(after_in_child))
    fork = os.fork

    def forking():
        pid = fork()
        if not pid:
            found[0]()
        return pid

    monkeypatch.setattr(os, "fork", forking)


@pytest.mark.usefixtures("severed")
def test_a_forked_process_has_the_users_sockets_and_none_of_ours(tmp_path):
    path = str(tmp_path / "s")
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        accepted, _ = listener.accept()
        forks.sever(ours.fileno(), path)
        with accepted:
            mine = [ours, listener, accepted]
            assert [still_connected(one.fileno()) for one in mine] == [False, False, False]
            assert [still_connected(one.fileno()) for one in (theirs, client)] == [True, True]
            accepted.sendall(b"the parent's are as they were")
            assert client.recv(99)


@pytest.mark.usefixtures("severed")
def test_a_forked_process_has_no_pipe_twice(tmp_path):
    """What it closes must be closed: `multiprocessing` hears so that a process has ended."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()

    def ends() -> int:
        links = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
        return sum(str(link) == pipe for link in links)

    with ours, theirs:
        forks.sever(ours.fileno(), str(tmp_path / "s"))
        pipe = f"pipe:[{os.fstat(write).st_ino}]"
        count = asked(ends)
    os.close(read)
    os.close(write)
    assert count == 2
