"""`bentod call` against a stand-in for daemon and gateway: what it sends, what it shows, its exit codes."""

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from bentod.cli import call, call_answer
from bentod.cli.main import main
from tests.support.daemon import eventually

IMAGE = {"type": "string", "format": "image"}
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
FILE = {"type": "string", "format": "file"}
FORM = {
    "type": "object",
    "properties": {
        "photo": {"$ref": "#/types/photo"},
        "pages": {"type": "array", "items": FILE},
        "text": {"$ref": "#/types/text"},
        "count": {"type": "integer"},
    },
}
INPUTS = {"any": True, "image": {"$ref": "#/types/photo"}, "tensor": TENSOR, "file": FILE, "form": FORM}
TYPES = {"photo": IMAGE, "text": {"type": "string"}}
PROBLEM = {"type": "https://bentod.dev/problems/x", "title": "X", "status": 500, "code": "x", "request_id": "r"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


class StandIn:
    """Serves the control route and every API on one Unix socket. `answer` makes answers; `asked` are the requests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = []
        self.examples = []
        self.answer = None
        self.gone = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)
        started = threading.Event()
        self.loop.call_soon(started.set)
        self.runner = web.AppRunner(self._app(), handler_cancellation=True, shutdown_timeout=0.1)
        self.loop.run_until_complete(self.runner.setup())
        self.loop.run_until_complete(web.UnixSite(self.runner, str(path)).start())
        self.thread.start()
        assert started.wait(10)

    def _app(self):
        app = web.Application()
        app.router.add_get("/apis/{name}", self._api)
        app.router.add_post("/v1/{name}", self._call)
        return app

    def _run(self):
        self.loop.run_forever()

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _api(self, request):
        name = request.match_info["name"]
        if name not in INPUTS:
            return web.json_response({"apis": list(INPUTS)}, status=404)
        common = {"output": True, "types": TYPES, "stream": "", "examples": self.examples, "url": f"unix:{self.path}"}
        return web.json_response({"path": f"/v1/{name}", "input": INPUTS[name], **common})

    async def _call(self, request):
        self.asked.append(await _read(request))
        return web.json_response(True) if self.answer is None else await self.answer(request)

    @property
    def last(self):
        return self.asked[-1]

    def gives(self, body, kind="application/json", status=200):
        """Answer with this."""

        async def answer(_):
            return web.Response(body=body, content_type=kind, status=status)

        self.answer = answer

    def streams(self, *pieces, kind="text/event-stream", cut=False, hang=False):
        """Answer with these pieces; then cut the connection, or hang until the client is gone."""

        async def answer(request):
            response = web.StreamResponse(headers={"content-type": kind})
            await response.prepare(request)
            try:
                for piece in pieces:
                    await response.write(piece)
                if hang:
                    await asyncio.Event().wait()
            except (asyncio.CancelledError, ConnectionError):
                self.gone.set()
                return response
            if cut:
                request.transport.close()
            return response

        self.answer = answer


async def _read(request):
    fields = []
    if request.content_type == "multipart/form-data":
        parts = await request.multipart()
        fields = [(p.name, p.headers.get("content-type"), p.filename, bytes(await p.read())) async for p in parts]
    return SimpleNamespace(kind=request.content_type, headers=request.headers, body=await request.read(), fields=fields)


@pytest.fixture(scope="module")
def only_server():
    folder = Path(tempfile.mkdtemp(prefix="bc"))
    server = StandIn(folder / "s")
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(only_server, monkeypatch):
    only_server.asked.clear()
    only_server.answer, only_server.examples = None, []
    only_server.gone.clear()
    monkeypatch.setattr(call, "located", lambda args: SimpleNamespace(control=only_server.path))
    return only_server


@pytest.fixture
def run(server, capfdbinary, tmp_path, monkeypatch):
    """Run the verb: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words, stdin=b""):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = main(["call", *words])
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────


def sent(server, run, *words, stdin=b""):
    """Media type and body of what the words make."""
    assert run(*words, stdin=stdin) == (0, b"true\n", "")
    return server.last.kind, server.last.body


def test_json_text_is_sent_as_it_is(server, run):
    assert sent(server, run, "any", '{"a": 1.50}') == ("application/json", b'{"a": 1.50}')
    assert sent(server, run, "image", '"aGk="') == ("application/json", b'"aGk="')
    assert sent(server, run, "any", '"a=b"') == ("application/json", b'"a=b"')


def test_the_first_example_is_sent(server, run):
    assert run("any")[0] == 2
    server.examples = [{"name": "one", "input": {"x": [1, "é"]}}, {"name": "two", "input": 2}]
    kind, body = sent(server, run, "any")
    assert (kind, json.loads(body)) == ("application/json", {"x": [1, "é"]})


@pytest.mark.parametrize(
    ("api", "name", "kind"),
    [
        ("any", "a.json", "application/json"),
        ("form", "a", "application/json"),
        ("any", "a.msgpack", "application/msgpack"),
        ("image", "a.png", "image/png"),
        ("image", "a.webp", "image/webp"),
        ("image", "a.unknown", "application/octet-stream"),
        ("tensor", "a.npy", "application/x-npy"),
        ("tensor", "a.json", "application/json"),
        ("file", "a.json", "application/octet-stream"),
        ("file", "a.wav", "audio/x-wav"),
        ("file", "a.csv.gz", "application/octet-stream"),
        ("image", "a.json", "application/json"),
        ("tensor", "a.msgpack", "application/msgpack"),
    ],
)
def test_a_file_is_sent(server, run, tmp_path, api, name, kind):
    (tmp_path / name).write_bytes(b'{"a": 1}')
    found, body = sent(server, run, api, f"@{name}")
    assert (found.replace("/vnd.wave", "/x-wav"), body) == (kind, b'{"a": 1}')  # Python 3.14's name of it


def test_stdin_is_sent(server, run):
    assert sent(server, run, "any", "-", stdin=b"[1]") == ("application/json", b"[1]")
    assert sent(server, run, "image", "-", stdin=PNG) == ("application/octet-stream", PNG)
    assert sent(server, run, "tensor", "-", stdin=b"\x93NUMPY..") == ("application/x-npy", b"\x93NUMPY..")
    assert sent(server, run, "tensor", "-", stdin=b"[1]") == ("application/json", b"[1]")


def test_a_pipe_is_read(server, run, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    writer = threading.Thread(target=(tmp_path / "pipe.png").write_bytes, args=(PNG,), daemon=True)
    writer.start()
    assert sent(server, run, "image", "@pipe.png") == ("image/png", PNG)
    writer.join()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["a=1", "b=x y", "c=null", 'd={"e": [1]}'], {"a": 1, "b": "x y", "c": None, "d": {"e": [1]}}),
        (["a=1", "a=x"], {"a": [1, "x"]}),
        (["a="], {"a": ""}),
        (["a=b=c"], {"a": "b=c"}),
        (["a=NaN", "b=-Infinity"], {"a": "NaN", "b": "-Infinity"}),
        (["text=5", "count=5"], {"text": "5", "count": 5}),
        (['text="5"'], {"text": "5"}),
        (['text="@x"'], {"text": "@x"}),
        (["text=@words.txt", "count=@number.json"], {"text": "some\nwords", "count": 7}),
        (["héé=é"], {"héé": "é"}),
    ],
)
def test_pairs_make_an_object(server, run, tmp_path, words, value):
    (tmp_path / "words.txt").write_text("some\nwords")
    (tmp_path / "number.json").write_text("7\n")
    kind, body = sent(server, run, "form", *words)
    assert (kind, json.loads(body)) == ("application/json", value)


def test_a_number_is_sent_as_it_was_written(server, run):
    assert sent(server, run, "any", "a=1.10")[1] == b'{"a": 1.10}'


def test_files_of_special_properties_make_a_form(server, run, tmp_path):
    (tmp_path / "é 1.png").write_bytes(PNG)
    (tmp_path / "a.pdf").write_bytes(b"1")
    (tmp_path / "b.pdf").write_bytes(b"2")
    assert sent(server, run, "form", "photo=@é 1.png", "pages=@a.pdf", "pages=@b.pdf", "text=5", "count=5")[0] == (
        "multipart/form-data"
    )
    assert server.last.fields == [
        ("photo", "image/png", "é 1.png", PNG),
        ("pages", "application/pdf", "a.pdf", b"1"),
        ("pages", "application/pdf", "b.pdf", b"2"),
        ("text", "application/json", None, b'"5"'),
        ("count", "application/json", None, b"5"),
    ]


def test_an_empty_list_may_stand_beside_files(server, run, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    assert sent(server, run, "form", "photo=@a.png", "pages=[]")[0] == "multipart/form-data"
    assert server.last.fields == [("photo", "image/png", "a.png", PNG), ("pages", "application/json", None, b"[]")]


def test_options_may_stand_anywhere(server, run, tmp_path):
    assert run("any", "a=1", "-o", "out", "b=2", "--accept", "text/csv", "-H", "X-One:  two ")[0] == 0
    assert json.loads(server.last.body) == {"a": 1, "b": 2}
    assert (server.last.headers["accept"], server.last.headers["x-one"]) == ("text/csv", "two")
    assert (tmp_path / "out").read_bytes() == b"true"
    with pytest.raises(SystemExit):
        run("any", "-o", "out", "a=1", "--unknown")


def test_a_header_may_name_the_media_type(server, run):
    assert run("image", "-", "-H", "content-type: image/tiff", stdin=PNG)[0] == 0
    assert server.last.headers.getall("content-type") == ["image/tiff"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["any", "{"], "the input is no JSON"),
        (["any", "hello"], "NAME=VALUE is a property, @FILE a file, and text has quotes of its own: '\"hello\"'"),
        (["image", "bytes"], "did you mean `@bytes`?"),
        (["image", "image=@bytes"], "no properties: give the value itself, as `@FILE`"),
        (["any", "[" * 100_000], "the input is no JSON"),
        (["any", "\udcff"], "not UTF-8"),
        (["any", "-"], "the input is no JSON"),
        (["tensor", "-"], "the input is no JSON"),
        (["any", "a=1", "2"], "must all be NAME=VALUE"),
        (["any", "@missing"], "cannot read missing: No such file"),
        (["image", "@."], "cannot read .: Is a directory"),
        (["image", "@"], "cannot read"),
        (["form", "photo=@missing"], "cannot read missing"),
        (["form", "photo=aGk=", "pages=@bytes"], "photo: where one value is a file"),
        (["any", "@bytes"], "bytes is no JSON"),
        (["any", "a=@bytes"], "neither JSON nor UTF-8"),
        (["any", "1", "-H", "nonsense"], "no header"),
        (["any", "1", "-H", "a:b\r\nc: d"], "no header"),
        (["any", "1", "-o", "."], "it is a folder"),
        (["any", "1", "-o", "missing/file"], "its folder is missing"),
        (["nothing"], "serves no API 'nothing'; it serves: any, image"),
        (["a/b?c"], "serves no API"),
    ],
)
def test_what_cannot_be_sent(server, run, tmp_path, words, said):
    (tmp_path / "bytes").write_bytes(b"\xff")
    code, out, err = run(*words)
    assert (code, out) == (2, b"")
    assert said in err
    assert server.asked == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(run, tmp_path):
    (tmp_path / "a").touch(mode=0)
    assert run("any", "@a") == (2, b"", "cannot read a: Permission denied\n")


def test_no_daemon(run, server, monkeypatch, tmp_path):
    monkeypatch.setattr(call, "located", lambda args: SimpleNamespace(control=tmp_path / "none"))
    assert run("any", "1")[0] == 3


# ── what is shown ────────────────────────────────────────────────────────────────────────────────


def test_json_is_made_readable(server, run):
    server.gives('{"a":["é",1.5]}'.encode())
    assert run("any", "1") == (0, '{\n  "a": [\n    "é",\n    1.5\n  ]\n}\n'.encode(), "")
    assert run("any", "1", "-o", "-") == (0, '{"a":["é",1.5]}'.encode(), "")


def test_text_ends_with_a_line_end(server, run):
    server.gives(b"one", "text/plain")
    assert run("any", "1") == (0, b"one\n", "")
    assert run("any", "1", "-o", "-") == (0, b"one", "")
    server.gives(b"one\n", "text/plain")
    assert run("any", "1") == (0, b"one\n", "")


def test_a_problem_goes_to_stderr(server, run, tmp_path):
    server.gives(json.dumps(PROBLEM).encode(), "application/problem+json", 422)
    code, out, err = run("any", "1", "-o", "out")
    assert (code, out, json.loads(err)) == (4, b"", PROBLEM)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("status", "named"), [(500, True), (422, False)])
def test_a_person_is_told_where_the_reason_of_a_failure_is(server, run, monkeypatch, status, named):
    server.gives(json.dumps(PROBLEM).encode(), "application/problem+json", status)
    monkeypatch.setattr(call_answer, "_seen", lambda: True)
    assert ("`bentod logs`" in run("any", "1")[2]) == named


def test_a_binary_answer_goes_into_a_pipe_or_a_file(server, run, tmp_path):
    server.gives(PNG, "image/png")
    assert run("any", "1") == (0, PNG, "")
    assert run("any", "1", "-o", "out.png") == (0, b"", "")
    assert (tmp_path / "out.png").read_bytes() == PNG


def test_a_binary_answer_is_not_shown_on_a_terminal(server, run, monkeypatch):
    terminal = SimpleNamespace(isatty=lambda: True, buffer=sys.stdout.buffer, flush=sys.stdout.flush)
    server.gives(PNG, "image/png")
    with monkeypatch.context() as patched:
        patched.setattr(call_answer.sys, "stdout", terminal)
        code, out, err = run("any", "1")
    assert (code, out) == (2, b"")
    assert "image/png of 264 bytes" in err
    assert "-o FILE" in err


def test_a_full_disk_is_told(server, run):
    server.gives(PNG, "image/png")
    assert run("any", "1", "-o", "/dev/full") == (2, b"", "cannot write the answer: No space left on device\n")


def test_an_answer_that_is_cut_off(server, run):
    server.streams(b"some", kind="text/plain", cut=True)
    code, out, err = run("any", "1")
    assert (code, out) == (4, b"some")
    assert "broke off" in err


# ── streams ──────────────────────────────────────────────────────────────────────────────────────

END = b"event: end\ndata: \n\n"
ERROR = b"event: error\ndata: " + json.dumps(PROBLEM).encode() + b"\n\n"


def test_strings_of_a_stream_flow(server, run):
    server.streams(b'data: "Hel"\n\n: idle\n\nda', b'ta: "lo \xc3\xa9"\n\n', END)
    assert run("any", "1") == (0, "Hello é\n".encode(), "")


def test_other_chunks_have_a_line_each(server, run):
    server.streams(b'data: {"a": "\xc3\xa9"}\n\ndata: "x"\n\ndata: 1\r\n\r\n', b"event: end\n\n")
    assert run("any", "1") == (0, '{"a": "é"}\nx\n1\n'.encode(), "")
    server.streams(b'{"a": 1}\n"x"\n', b"[2", b"]\n", kind="application/x-ndjson")
    assert run("any", "1") == (0, b'{"a": 1}\nx\n[2]\n', "")


@pytest.mark.parametrize("file", ["", "-"])
@pytest.mark.parametrize(
    ("kind", "pieces", "cut", "said"),
    [
        ("text/event-stream", [b'data: "x"\n\n', ERROR], False, '"X"'),
        ("text/event-stream", [b'data: "x"\n\n'], False, "broke off"),
        ("text/event-stream", [b'data: "x"\n\n'], True, "broke off"),
        ("text/event-stream", [b'data: "x"\n\n', b"data: {\n\n"], False, "no JSON"),
        ("application/x-ndjson", [b'"x"\n', json.dumps({"error": PROBLEM}).encode() + b"\n"], False, '"X"'),
        ("application/x-ndjson", [b'"x"\n', b'"y'], False, "broke off"),
        ("application/x-ndjson", [b'"x"\n'], True, "broke off"),
        ("application/octet-stream", [b"x\n"], True, "broke off"),
    ],
)  # fmt: skip
def test_a_stream_that_fails(server, run, file, kind, pieces, cut, said):
    server.streams(*pieces, kind=kind, cut=cut)
    code, out, err = run("any", "1", *(["-o", file] if file else []))
    assert code == 4
    assert out == (b"".join(pieces) if file else b"x\n")
    assert said in err


def test_a_stream_is_written_as_it_is(server, run, tmp_path):
    pieces = [b'data: "x"\n\n', b": idle\n\n", END]
    server.streams(*pieces)
    assert run("any", "1", "-o", "out") == (0, b"", "")
    assert (tmp_path / "out").read_bytes() == b"".join(pieces)


def test_an_interrupt_closes_the_stream(server, tmp_path):
    """In a process of its own, for the signal is to the whole process."""
    server.streams(b'data: "x"\n\n', hang=True)
    script = (
        "import sys; from types import SimpleNamespace; from pathlib import Path; from bentod.cli import call, main\n"
        f"call.located = lambda args: SimpleNamespace(control=Path({str(server.path)!r}))\n"
        "sys.exit(main.main(['call', 'any', '1']))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"x"  # it is shown as it comes
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"\n", b"")
    eventually(server.gone.is_set)


def test_a_reader_that_has_had_enough(server):
    server.streams(*[b'data: "xxxxxxxxxxxxxxxx"\n\n'] * 20_000, hang=True)
    script = (
        "import sys; from types import SimpleNamespace; from pathlib import Path; from bentod.cli import call, main\n"
        f"call.located = lambda args: SimpleNamespace(control=Path({str(server.path)!r}))\n"
        "sys.exit(main.main(['call', 'any', '1']))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    eventually(server.gone.is_set)
