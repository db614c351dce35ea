"""Files: to disk as they arrive, in a folder that lives as long as the call, and back from where the spec allows."""

import base64
import contextlib
import hashlib
import os
import signal
from pathlib import Path

import msgpack
import numpy as np
import pytest

from tests.support.daemon import eventually, running
from tests.support.forms import BOUNDARY, Part, form
from tests.support.http import Connection, Ended, request
from tests.support.project import Gate, project
from tests.support.samples import npy

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
OCTETS, NPY, MIB = "application/octet-stream", "application/x-npy", 1024 * 1024
FILE = {"type": "string", "format": "file"}
TENSOR = {"type": "array", "format": "tensor", "dtype": "float64", "shape": [-1]}
HOW = {"type": "object", "properties": {"how": {"type": "string"}}, "required": ["how"]}
QUICK = {"delay": "20ms", "max_delay": "100ms", "limit": 1000}


def target(service, method, input_=True, output=True, **more):
    return {"service": service, "method": method, "input": input_, "output": output, **more}


def given(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    text = {"type": "string"}
    two = given(value=FILE, other=FILE)
    apis = {
        "length": target("s", "length", FILE, max_body="210MiB", timeout="100s"),
        "length_part": target("s", "length", given(value=FILE), max_body="210MiB", timeout="100s"),
        "same": target("s", "same", FILE, FILE, max_body="210MiB", timeout="100s"),
        "where": target("s", "where", FILE),
        "digest": target("s", "digest", two),
        "fail": target("s", "fail", FILE),
        "make": target("s", "make", HOW, FILE),
        "make_text": target("s", "make", HOW, {**FILE, "contentMediaType": "text/plain"}),
        "make_within": target("s", "make", HOW, {**FILE, "within": ["shared"]}),
        "make_two": target("s", "make_two", given(), given(a=FILE, b=FILE)),
        "no_folder": target("s", "no_folder", given()),
        "hold": target("s", "hold", given(value=FILE, gate=text), FILE),
        "hold_briefly": target("s", "hold", given(value=FILE, gate=text), FILE, timeout="300ms"),
        "die": target("mortal", "die", FILE),
        **{
            f"die_once_{name}": target("mortal", "die_once", given(value=kind, mark=text))
            for name, kind in (("file", FILE), ("tensor", TENSOR), ("binary", {**FILE, "format": "binary"}))
        },
    }
    folder = project(
        tmp_path_factory.mktemp("files"), "filing",
        services={"s": {"target": "filing.py", "threads": 4}, "mortal": {"target": "filing.py", "restart": QUICK}},
        apis=apis, files={"shared/a.txt": "shared", "shared-not/a.txt": "secret"},
    )  # fmt: skip
    (folder / "shared" / "out.txt").symlink_to("/etc/passwd")
    temporary = tmp_path_factory.mktemp("temporary")
    with running(folder, env={"TMPDIR": str(temporary)}) as app:
        app.files = temporary
        yield app
    assert stored(app) == []


def stored(app):
    """The files of all calls that are on disk now."""
    return [Path(folder, name) for folder, _, names in os.walk(app.files) for name in names]


def arrived(app):
    """Bytes of them."""
    return sum(path.stat().st_size for path in stored(app))


def all_gone(app):
    eventually(lambda: not stored(app), 10, "no file is left")


def memory(pid, what="VmRSS"):
    """MiB of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{what}:")]
    return int(line.split()[1]) / 1024


@pytest.fixture
def connection(app):
    with Connection(app.url, patience_s=60) as connection:
        yield connection


@pytest.mark.parametrize("how", ["raw", "part"])
def test_200_mib_go_to_disk_and_not_into_memory(app, connection, how):
    [gateway] = app.pids("gateway")
    assert connection.ask(request("/length", b"x", headers={"content-type": OCTETS})).json == 1
    size, piece = 200 * MIB, os.urandom(MIB)
    before = memory(gateway, "VmHWM")
    if how == "raw":
        connection.send(request("/length", None, headers={"content-type": OCTETS, "content-length": str(size)}))
        begin = end = b""
    else:
        begin, header = form(Part("value", b"|", OCTETS, "large.bin"))
        begin, end = begin.split(b"|")
        length = {"content-length": str(len(begin) + size + len(end))}
        connection.send(request("/length_part", None, headers={**header, **length}))
    connection.send(begin)
    for _ in range(100):
        connection.send(piece)
    eventually(lambda: arrived(app) > 90 * MIB, what="what came is on disk")
    for _ in range(100):
        connection.send(piece)
    connection.send(end)
    assert connection.answer().json == size
    assert memory(gateway, "VmHWM") - before < 40
    all_gone(app)


def test_100_mib_come_back_from_disk_and_a_slow_reader_costs_no_memory(app, connection):
    [gateway] = app.pids("gateway")
    piece, count = os.urandom(MIB), 100
    connection.send(request("/same", None, headers={"content-type": OCTETS, "content-length": str(count * MIB)}))
    for _ in range(count):
        connection.send(piece)
    before = memory(gateway, "VmHWM")
    connection._until(b"\r\n\r\n")
    digest, wanted = hashlib.sha256(), hashlib.sha256(piece * count).hexdigest()
    for _ in range(count):
        digest.update(connection._exactly(MIB))
    assert digest.hexdigest() == wanted
    assert memory(gateway, "VmHWM") - before < 40
    all_gone(app)


def test_a_files_folder_is_private_and_gone_after_the_call(app, connection):
    path = Path(connection.ask(request("/where", b"data", headers={"content-type": OCTETS})).json)
    assert path.is_relative_to(app.files)
    eventually(lambda: not path.parent.exists())
    assert [one.stat().st_mode & 0o777 for one in app.files.iterdir()] == [0o700]
    assert connection.ask(request("/fail", b"data", headers={"content-type": OCTETS})).status == 500
    all_gone(app)


def test_files_of_one_name_are_two_files(connection):
    body, header = form(Part("value", b"1", "", "a.txt"), Part("other", b"2", "", "A.TXT"))
    answer = connection.ask(request("/digest", body, headers=header)).json
    assert answer == {"names": ["a.txt", "A-2.TXT"], "data": ["1", "2"]}


@pytest.mark.parametrize("how", ["raw", "part"])
def test_a_client_that_leaves_amid_its_file_leaves_nothing(app, how):
    begin = form(Part("value", b"|", OCTETS, "a.bin"))[0].split(b"|")[0] if how == "part" else b""
    media_type = f"multipart/form-data; boundary={BOUNDARY}" if how == "part" else OCTETS
    path = "/length" if how == "raw" else "/length_part"
    with Connection(app.url) as connection:
        headers = {"content-type": media_type, "content-length": str(50 * MIB)}
        connection.send(request(path, None, headers=headers) + begin + b"x" * 4 * MIB)
        eventually(lambda: arrived(app) > 2 * MIB)
    all_gone(app)


def test_a_file_that_is_refused_on_its_way_leaves_nothing(app):
    body, header = form(Part("value", b"x" * MIB, OCTETS, "a.bin"), Part("other", b"y" * MIB, OCTETS, "b.bin"))
    with Connection(app.url) as connection:
        assert connection.ask(request("/length_part", body, headers=header)).code == "invalid-input"
        assert connection.ask(request("/length_part", body[:-9], headers=header)).code == "malformed-body"
    all_gone(app)


def test_a_workers_death_leaves_nothing(app, connection):
    assert connection.ask(request("/die", b"x" * MIB, headers={"content-type": OCTETS})).code == "worker-lost"
    all_gone(app)


def test_a_gateways_death_leaves_nothing(app):
    headers = {"content-type": OCTETS, "content-length": str(50 * MIB)}
    with Connection(app.url) as connection:
        connection.send(request("/length", None, headers=headers) + b"x" * 4 * MIB)
        eventually(lambda: stored(app))
        [gateway] = app.pids("gateway")
        os.kill(gateway, signal.SIGKILL)
        all_gone(app)
    eventually(lambda: app.pids("gateway") not in ([], [gateway]))
    with Connection(app.url) as connection:
        assert connection.ask(request("/length", b"x", headers={"content-type": OCTETS})).json == 1


@pytest.mark.parametrize("how", ["the client leaves", "the deadline passes"])
def test_a_file_stays_while_a_worker_reads_it(app, tmp_path, how):
    gate = Gate(tmp_path / "gate")
    body, header = form(Part("value", b"still here", OCTETS, "a.txt"), Part("gate", str(gate.folder).encode()))
    with Connection(app.url) as connection:
        connection.send(request("/hold" if "client" in how else "/hold_briefly", body, headers=header))
        gate.reached()
        if "deadline" in how:
            assert connection.answer().code == "deadline-exceeded"
    eventually(lambda: app.control()["apis"]["hold"]["running"] == int("client" in how))
    assert len(stored(app)) == 1
    gate.open()
    seen = gate.folder / "seen"
    eventually(lambda: seen.exists() and seen.read_text())
    assert seen.read_text() == "still here"
    all_gone(app)


@pytest.mark.parametrize("kind", ["tensor", "file", "binary"])
def test_a_call_whose_worker_died_is_run_again_with_the_same_bytes(app, tmp_path, kind):
    array = np.random.default_rng(1).random(300_000)
    data = array.tobytes()
    part = Part("value", npy(array), NPY, "a.npy") if kind == "tensor" else Part("value", data, OCTETS, "a.bin")
    body, header = form(Part("mark", str(tmp_path / "mark").encode()), part)
    with Connection(app.url) as connection:
        answer = connection.ask(request(f"/die_once_{kind}", body, headers=header))
    assert answer.json == dict.fromkeys(("first", "second"), hashlib.sha256(data).hexdigest())
    all_gone(app)


@pytest.mark.parametrize("how", ["inside", "nested", "link inside", "bytes", "dots inside"])
def test_a_file_of_the_calls_folder_is_an_answer(app, connection, how):
    answer = connection.ask(request("/make", {"how": how}))
    assert (answer.status, answer.body) == (200, b"inside"), answer.body
    assert connection.ask(request("/make", {"how": how}, headers={"accept": "application/json"})).json == "aW5zaWRl"
    packed = connection.ask(request("/make", {"how": how}, headers={"accept": "application/msgpack"}))
    assert msgpack.unpackb(packed.body) == b"inside"
    all_gone(app)


@pytest.mark.parametrize("how", ["within", "within absolute", "inside"])
def test_a_file_within_a_folder_that_the_spec_names_is_an_answer(connection, how):
    answer = connection.ask(request("/make_within", {"how": how}))
    assert (answer.status, answer.body) == (200, b"inside" if how == "inside" else b"shared")
    assert answer.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("path", "how"),
    [
        *(("/make", how) for how in (
            "outside", "link outside", "folder linked outside", "dots outside", "folder", "missing", "pipe", "device",
            "project", "within", "nothing",
        )),
        *(("/make_within", how) for how in (
            "within linked outside", "within dots", "beside within", "project", "outside",
        )),
    ],
)  # fmt: skip
def test_any_other_file_is_refused_and_nothing_of_it_is_told(app, connection, path, how):
    for accept in ("*/*", "application/json"):
        answer = connection.ask(request(path, {"how": how}, headers={"accept": accept}))
        assert answer.status == 500
        assert answer.code in {"output-invalid", "output-unserializable"}
        assert not any(secret in answer.body for secret in (b"root", b"etc", b"filing", b"shared", b"bentod-files"))
    [event] = eventually(lambda: app.events("call.finished", request_id=answer.headers["x-request-id"]))
    assert event["error"]
    all_gone(app)


def test_a_file_of_another_kind_than_the_spec_says_is_invalid(connection):
    assert connection.ask(request("/make_text", {"how": "inside"})).headers["content-type"] == "text/plain"


def test_several_files_in_one_answer(connection):
    answer = connection.ask(request("/make_two", {}))
    assert answer.json == {"a": base64.b64encode(b"first").decode(), "b": "/w=="}


def test_without_files_there_is_no_folder(connection):
    assert connection.ask(request("/no_folder", {})).code == "target-raised"


def test_a_client_that_leaves_amid_its_answer_leaves_nothing(app):
    size = 30 * MIB
    with Connection(app.url) as connection:
        connection.send(request("/same", b"x" * size, headers={"content-type": OCTETS}))
        connection._until(b"\r\n\r\n")
        assert stored(app)
    all_gone(app)
    with contextlib.suppress(Ended), Connection(app.url) as connection:
        assert connection.ask(request("/length", b"x", headers={"content-type": OCTETS})).json == 1
