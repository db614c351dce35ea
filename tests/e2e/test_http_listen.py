"""Where a server can listen."""

import contextlib
import os
import socket
import stat
from urllib.parse import urlsplit

import pytest

from tests.support.daemon import running
from tests.support.http import Connection, request
from tests.support.project import project

pytestmark = pytest.mark.e2e
SAME = {
    "services": {"answers": {"target": "answers.py"}},
    "apis": {"same": {"service": "answers", "method": "same"}},
}


@pytest.fixture
def folder(tmp_path):
    return project(tmp_path, "answers", **SAME)


def echoes(url):
    with Connection(url) as connection:
        assert connection.ask(request("/same", [1])).json == [1]


def listening(folder, *addresses, **options):
    return running(folder, overlay={"server": {"listen": list(addresses)}}, **options)


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_a_unix_socket_is_there_and_goes(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("u") / "s"
    path = path if len(str(path)) < 100 else os.path.relpath(path)
    with listening(folder, f"unix:{path}") as app:
        assert app.url == f"unix:{path}"
        echoes(app.url)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert app.cli("call", "same", '{"a": 1}').stdout == '{\n  "a": 1\n}\n'
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(folder, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listening(folder, f"unix:{path}") as app:
        echoes(app.url)


@pytest.mark.parametrize("what", ["file", "folder", "living socket"])
def test_what_is_in_the_way_of_a_unix_socket_stays(folder, tmp_path, what):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        if what == "file":
            path.write_text("precious")
        elif what == "folder":
            path.mkdir()
        else:
            other.bind(str(path))
            other.listen()
        with listening(folder, f"unix:{path}", ready=False, code=None) as app:
            assert app.process.wait(30) == 4
            assert f"unix:{path}" in app.text()
            assert "Traceback" not in app.text()
        assert path.exists()


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_ipv6_and_ipv4_side_by_side(folder):
    with listening(folder, "[::1]:0", "127.0.0.1:0") as app:
        six, four = app.control()["urls"]
        assert six.startswith("http://[::1]:")
        assert four.startswith("http://127.0.0.1:")
        echoes(six)
        echoes(four)


def test_port_0_is_a_free_port_that_is_told(folder):
    with listening(folder, "127.0.0.1:0") as app:
        assert urlsplit(app.url).port > 0
        assert app.events("generation.ready")[0]["url"] == app.url
        assert app.url in app.cli("status").stdout


def test_all_addresses_is_reached_on_the_loopback(folder):
    with listening(folder, "0.0.0.0:0") as app:
        assert urlsplit(app.url).hostname == "127.0.0.1"
        echoes(app.url)


def test_an_inherited_socket_is_served_and_outlives_the_daemon(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        for _ in range(2):
            with listening(folder, f"fd://{descriptor}", pass_fds=[descriptor]) as app:
                assert urlsplit(app.url).port == listener.getsockname()[1]
                echoes(app.url)
        with socket.create_connection(listener.getsockname(), 5):
            pass  # still listening


@pytest.mark.parametrize("number", ["97", "file"])
def test_a_descriptor_that_is_no_socket_is_refused(folder, tmp_path, number):
    with (tmp_path / "file").open("w") as file:
        number = str(file.fileno()) if number == "file" else number
        fds = [file.fileno()]
        with listening(folder, f"fd://{number}", pass_fds=fds, ready=False, code=None) as app:
            assert app.process.wait(30) == 4
            assert f"fd://{number}" in app.text()


def test_a_port_in_use_is_named_and_nothing_stays(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with listening(folder, "127.0.0.1:0", address, ready=False, code=None) as app:
            assert app.process.wait(30) == 4
            assert address in app.text()
            assert "in use" in app.text()
            assert not list(app.run.rglob("*.sock"))


@pytest.mark.parametrize("address", ["192.0.2.1:3000", "no.such.host.invalid:3000"])
def test_an_address_of_another_host_is_refused(folder, address):
    with listening(folder, address, ready=False, code=None) as app:
        assert app.process.wait(60) == 4
        assert address in app.text()
        assert "Traceback" not in app.text()
