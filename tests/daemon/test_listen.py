"""Which socket serves which address: inherited, kept, or bound."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from bentod.daemon.listen import Inherited, inherited, listen, relisten
from bentod.errors import StartError
from tests.support.daemon import free_port


@pytest.fixture
def folder(tmp_path_factory):
    path = Path(f"/tmp/bl{os.getpid()}")
    path.mkdir()
    yield path
    for left in path.iterdir():
        left.unlink()
    path.rmdir()


@contextlib.contextmanager
def tcp(host="127.0.0.1", port=0, both=False):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, dualstack_ipv6=both) as server:
        yield server


@contextlib.contextmanager
def open_listeners(*args):
    found = listen(*args)
    try:
        yield found
    finally:
        for one in found:
            one.close()


def name(listener):
    return listener.socket.getsockname()


def answers(where):
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(2)
        return client.connect_ex(where[:2] if isinstance(where, tuple) else where) == 0


def has_ipv6():
    with contextlib.suppress(OSError), tcp("::1"):
        return True
    return False


six = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")


def test_what_the_environment_says_is_for_one_process():
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web:admin"}
    assert inherited({**environ, "LISTEN_FDS": "0"}, 7) == ()
    assert inherited(environ, 8) == inherited({}, 7) == inherited({**environ, "LISTEN_FDS": "x"}, 7) == ()
    assert inherited({**environ, "LISTEN_PID": ""}, 7) == ()


def test_the_sockets_have_names_and_are_not_for_children():
    with tcp() as server:
        taken = [os.dup(3) if _open(3) else None, os.dup(4) if _open(4) else None]
        try:
            for number in (3, 4):
                os.dup2(server.fileno(), number, inheritable=True)
            environ = {"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web"}
            assert inherited(environ, 7) == (Inherited(3, "web"), Inherited(4))
            assert not os.get_inheritable(3)
        finally:
            for number, before in zip((3, 4), taken, strict=True):
                os.close(number) if before is None else os.dup2(before, number, inheritable=False)
                if before is not None:
                    os.close(before)


def _open(number):
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False


def test_an_inherited_socket_serves_its_address_and_outlives_us():
    with tcp() as server, tcp() as other:
        port, elsewhere = server.getsockname()[1], free_port()
        handed = (Inherited(other.fileno()), Inherited(server.fileno()))
        addresses = (f"127.0.0.1:{elsewhere}", f"localhost:{port}", f"127.0.0.1:{other.getsockname()[1]}")
        with open_listeners(addresses, handed) as found:
            assert [name(one)[1] for one in found] == [elsewhere, port, other.getsockname()[1]]
            assert [one.address for one in found] == list(addresses)
        assert answers(server.getsockname())
        assert not answers(("127.0.0.1", elsewhere))


@six
def test_a_socket_for_both_families_serves_all_addresses_of_either():
    with tcp("::", both=True) as server:
        port = server.getsockname()[1]
        with open_listeners((f"0.0.0.0:{port}", f"[::]:{port}"), (Inherited(server.fileno()),)) as found:
            assert {name(one)[:2] for one in found} == {("::", port)}


@six
def test_a_socket_for_one_family_does_not_serve_the_other():
    with tcp("::") as server:
        port = server.getsockname()[1]
        with pytest.raises(StartError, match=rf"bound to \[::\]:{port} \(web\).* says 0.0.0.0:{port}"):
            listen((f"0.0.0.0:{port}",), (Inherited(server.fileno(), "web"),))


def test_an_inherited_unix_socket_keeps_its_file(folder):
    path = str(folder / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with open_listeners((f"unix:{folder}//s",), (Inherited(server.fileno()),)) as [found]:
            assert found.url == f"unix:{path}"
        assert answers(path)


def test_an_inherited_socket_may_be_called_by_its_descriptor():
    with tcp() as server:
        number = server.fileno()
        with open_listeners((f"fd://{number}",), (Inherited(number),)) as [found]:
            assert name(found) == server.getsockname()


def test_a_socket_that_was_inherited_in_vain_is_an_error_that_names_both_sides():
    with tcp() as server:
        port = free_port()
        with pytest.raises(StartError) as raised:
            listen((f"127.0.0.1:{port}",), (Inherited(server.fileno(), "app.socket"),))
        assert f"127.0.0.1:{server.getsockname()[1]} (app.socket)" in str(raised.value)
        assert f"127.0.0.1:{port}" in str(raised.value)
        assert not answers(("127.0.0.1", port))


@pytest.mark.parametrize("kind", ["datagram", "file", "closed"])
def test_an_inherited_descriptor_of_no_use_is_named(tmp_path, kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, (tmp_path / "f").open("w") as file:
        number = {"datagram": datagram.fileno(), "file": file.fileno(), "closed": 9999}[kind]
        with pytest.raises(StartError, match=f"descriptor {number} is"):
            listen(("127.0.0.1:0",), (Inherited(number),))


def test_a_predecessor_s_socket_serves_the_address_that_it_had(folder):
    """Port 0 stays, a descriptor that only the predecessor had stays, and what is not wanted any more is no error."""
    path = str(folder / "s")
    with tcp() as free, tcp() as third, tcp() as unwanted, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        handed = [
            Inherited(one.fileno(), address=address)
            for one, address in (
                (free, "127.0.0.1:0"),
                (third, "fd://3"),
                (unwanted, "127.0.0.1:1"),
                (unix, f"unix:{path}"),
            )
        ]
        with open_listeners(("fd://3", "127.0.0.1:0", f"unix:{path}"), handed) as found:
            assert [name(one) for one in found] == [third.getsockname(), free.getsockname(), path]
        assert answers(path)


def test_a_change_keeps_what_stays_and_tells_what_goes(folder):
    old = listen(("127.0.0.1:0", f"unix:{folder}/a", f"unix:{folder}/b"))
    port = free_port()
    new, gone = relisten(old, (f"unix:{folder}/c", f"127.0.0.1:{port}", "127.0.0.1:0", f"unix:{folder}/b"))
    assert [new[2], new[3]] == [old[0], old[2]]
    assert gone == [old[1]]
    assert all(answers(name(one)) for one in [*new, *gone])
    gone[0].close()
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c"]
    for one in new:
        one.close()
    assert list(folder.iterdir()) == []


def test_another_way_to_write_an_address_keeps_its_socket():
    port = free_port()
    old = listen((f"127.0.0.1:{port}",))
    with socket.create_connection(("127.0.0.1", port)):  # waits to be accepted, and shall not be lost
        new, gone = relisten(old, (f"localhost:{port}",))
        gone[0].close()
        connection, _ = new[0].socket.accept()
        connection.close()
    new[0].close()
    assert not answers(("127.0.0.1", port))


def test_a_change_that_fails_leaves_everything_as_it_was(folder):
    old = listen((f"unix:{folder}/a",))
    with tcp() as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"127.0.0.1:{port}: the address is in use by another process"):
            relisten(old, (f"unix:{folder}/b", f"127.0.0.1:{port}"))
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert answers(f"{folder}/a")
    old[0].close()


def test_an_address_that_overlaps_with_ours_is_explained():
    port = free_port()
    old = listen((f"127.0.0.1:{port}",))
    with pytest.raises(StartError, match=f"overlaps with 127.0.0.1:{port}, where this daemon listens now"):
        relisten(old, (f"0.0.0.0:{port}",))
    old[0].close()


def test_who_has_handed_a_socket_on_leaves_its_file(folder):
    [one] = listen((f"unix:{folder}/a",))
    one.owned = False
    one.close()
    assert [path.name for path in folder.iterdir()] == ["a"]
