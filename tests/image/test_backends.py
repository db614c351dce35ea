"""Engines that are command lines: how they are found, given the context, listened to, and ended."""

import json
import os
import signal
import stat
import sys
import threading
from pathlib import Path

import pytest

from bentod.image import child
from bentod.image.choose import chosen, likely
from bentod.image.context import ContextError, Entry, made, text
from bentod.image.order import BuildFailed, Command, NoEngine, Order
from bentod.image.secrets import Secret, Veil
from tests.support.daemon import eventually
from tests.support.docker_api import IMAGE, docker_api

FILES = made([text("Dockerfile", "FROM scratch\n"), text("src/model.py", "x = 1\n")])
PROGRAM = """#!{python}
import json, os, sys, tarfile, time
name = os.path.basename(sys.argv[0])
with open({log!r}, "a") as log:
    log.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
{body}
"""


def order(**given):
    return Order(**{"context": FILES, "dockerfile": "FROM scratch\n", "tags": ("app:1",), **given})


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A PATH with programs that a test writes, and what they were called with."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return Bench(tmp_path)


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "calls"
        self.programs = folder / "bin"
        self.programs.mkdir()
        (folder / "tmp").mkdir()
        self.environ = {"PATH": str(self.programs), "DOCKER_HOST": f"unix://{folder}/no-engine"}

    def program(self, name, body, folder=None):
        path = (folder or self.programs) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable, log=str(self.log), body=body))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def leftovers(self):
        return list((self.folder / "tmp").iterdir())

    def run(self, backend, given=None):
        lines = []
        image = chosen(backend, given or order(), self.environ).build(given or order(), lines.append)
        return image, lines


TAKES_FOLDER = """
if "build" in sys.argv:
    words = [word.partition("=")[2] or word for word in reversed(sys.argv)]
    folder = next(word for word in words if os.path.isdir(word))
    print("has", sorted(os.listdir(folder)), oct(os.stat(folder).st_mode & 0o777), flush=True)
    print("careful", file=sys.stderr)
"""
TAKES_STREAM = """
if "build" in sys.argv:
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        print("has", [one.name for one in archive], os.environ.get("DOCKER_BUILDKIT"), flush=True)
"""


@pytest.mark.parametrize("name", ["podman", "buildah", "buildctl"])
def test_a_folder_is_given_to_those_that_want_one_and_removed(bench, name):
    bench.program(name, TAKES_FOLDER)
    _, lines = bench.run(name)
    assert lines == ["has ['Dockerfile', 'src'] 0o755", "careful"]
    assert bench.leftovers == []
    assert any("build" in call for call in bench.calls)


def test_buildx_gets_a_stream(bench):
    bench.program("docker", TAKES_STREAM)
    _, lines = bench.run("buildx")
    assert lines == ["has ['Dockerfile', 'src', 'src/model.py'] None"]
    assert ["docker", "buildx", "version"] in bench.calls


def test_all_that_was_tried_is_named_if_nothing_is_there(bench):
    bench.program("buildah", "print('cannot set up namespace', file=sys.stderr); sys.exit(125)")
    with pytest.raises(NoEngine) as told:
        bench.run("auto")
    lines = str(told.value).splitlines()
    assert lines[0] == "nothing can build the image; tried:"
    assert lines[1] == f"  docker at {bench.environ['DOCKER_HOST']}: No such file or directory"
    assert lines[2] == "  podman: there is no program `podman` on PATH"
    assert lines[3].endswith("info` does not work: cannot set up namespace")
    assert lines[4].startswith("start one")


@pytest.mark.parametrize("name", ["buildx", "podman", "buildah", "buildctl"])
def test_an_engine_that_was_asked_for_and_is_not_there_is_named(bench, name):
    with pytest.raises(NoEngine, match=f"with {name}; tried:\n  {name}: there is no program"):
        bench.run(name)


def test_the_first_that_works_is_taken(bench):
    bench.program("podman", "sys.exit('info' in sys.argv)")
    bench.program("buildah", TAKES_FOLDER)
    assert bench.run("auto")[1][0].startswith("has")
    assert likely("auto", {"PATH": str(bench.programs)}) == "podman"
    assert likely("auto", bench.environ) == "docker"
    assert likely("auto", {"PATH": ""}) == "docker"


def test_podman_says_what_is_in_its_image(bench):
    bench.program(
        "podman",
        """
if sys.argv[1:3] == ["image", "inspect"]: print(json.dumps([{"Id": "abc", "Size": 12}]))
if sys.argv[1] == "history": print(json.dumps([{"CreatedBy": "COPY\\n x", "size": 5}, {"size": 7}]))
""",
    )
    image, _ = bench.run("podman")
    assert (image.id, image.size) == ("abc", 12)
    assert [(layer.made_by, layer.size) for layer in image.layers] == [("imported", 7), ("COPY x", 5)]


@pytest.mark.parametrize("said", ["", "[]", "{}", "[5]", '[{"Id": 1}]', "\\xff", "null"])
def test_what_podman_says_otherwise_is_nothing(bench, said):
    bench.program("podman", f"print('''{said}''')")
    assert bench.run("podman")[0].layers == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("print('no such instruction: RUM'); sys.exit(125)", "ended with status 125: no such instruction: RUM"),
        ("sys.exit(1)", "ended with status 1"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
    ],
)
def test_a_build_that_fails_says_how(bench, body, reason):
    bench.program("podman", f"if 'build' in sys.argv:\n    {body}")
    with pytest.raises(BuildFailed) as told:
        bench.run("podman")
    assert str(told.value).endswith(reason)
    assert bench.leftovers == []


def test_a_push_that_fails_is_an_error(bench):
    bench.program("podman", "sys.exit('push' in sys.argv)")
    with pytest.raises(BuildFailed, match="podman push"):
        bench.run("podman", order(push=True))


def test_what_is_printed_cannot_command_a_terminal_nor_grow_without_bounds(bench):
    bench.program(
        "podman",
        "if 'build' in sys.argv: sys.stdout.buffer.write(b'\\x1b[2Jevil\\xff\\n' + b'x' * 10**7 + b'\\nend\\n')",
    )
    _, lines = bench.run("podman")
    assert lines[0] == "·[2Jevil�"
    assert [len(line) for line in lines[1:]] == [4000, 3]


def test_secrets_reach_the_engine_and_not_what_is_told(bench, tmp_path):
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nindex-url = https://me:s3cretpass@pypi.example.com/simple\n")
    bench.environ["TOKEN"] = "ghp_0123456789"
    bench.program("podman", f"if 'build' in sys.argv: print(os.environ['TOKEN'], open({str(conf)!r}).read())")
    given = order(secrets=(Secret("pip", conf), Secret("token", None, "TOKEN")))
    _, lines = bench.run("podman", given)
    said = "\n".join(lines) + bench.log.read_text()
    assert "*****" in said
    assert "s3cretpass" not in said
    assert "ghp_0123456789" not in said
    assert f"id=pip,src={conf}" in said
    assert "id=token,env=TOKEN" in said


@pytest.mark.parametrize(
    ("version", "plugin", "works"),
    [("20.10.24", False, True), ("28.2.2", False, False), ("28.2.2", True, True), ("x", False, False)],
)
def test_docker_s_command_line_is_taken_for_secrets_if_it_has_buildkit(bench, version, plugin, works):
    bench.environ["TOKEN"] = "ghp_0123456789"
    body = f"if 'buildx' in sys.argv: sys.exit({0 if plugin else 1})\nif 'version' in sys.argv: print({version!r})\n"
    bench.program("docker", body + TAKES_STREAM)
    given = order(secrets=(Secret("token", None, "TOKEN"),))
    with docker_api(lambda handler: handler.answer({})) as api:
        bench.environ |= api.environ
        api.images.add("app:1")
        if works:
            image, lines = bench.run("docker", given)
            assert lines == ["has ['Dockerfile', 'src', 'src/model.py'] 1"]
            assert image.id == IMAGE
        else:
            with pytest.raises(NoEngine, match="needs BuildKit"):
                bench.run("docker", given)
        assert api.queries == []


def test_another_docker_further_down_the_path_may_have_it(bench):
    older = bench.folder / "older"
    bench.program("docker", "print('28.0.0')\nsys.exit('buildx' in sys.argv)")
    bench.program(
        "docker",
        f"if 'version' in sys.argv: print('20.10.1')\nif 'buildx' in sys.argv: sys.exit(1)\n{TAKES_STREAM}",
        older,
    )
    bench.environ |= {"PATH": f"{bench.programs}:{older}", "TOKEN": "ghp_0123456789"}
    with docker_api(lambda handler: handler.answer({})) as api:
        bench.environ |= api.environ
        _, lines = bench.run("docker", order(secrets=(Secret("token", None, "TOKEN"),)))
    assert lines[0].startswith("has")


@pytest.mark.parametrize("backend", ["podman", "buildx"])
def test_a_file_that_is_gone_ends_the_build(bench, backend):
    body = "import time\nif 'build' in sys.argv:\n    sys.stdin.buffer.read(); time.sleep(60)"
    bench.program("podman", body)
    bench.program("docker", body)
    broken = order(context=made([text("Dockerfile", ""), Entry("src/x", Path("/nowhere/x"), 5)]))
    with pytest.raises(ContextError, match="/nowhere/x"):
        bench.run(backend, broken)
    assert bench.leftovers == []


def test_a_child_that_reads_nothing_and_ends_is_told_with_its_reason(bench):
    bench.program("docker", "if 'build' in sys.argv: print('no builder'); sys.exit(1)")
    large = order(context=made([text("Dockerfile", "x" * 10**7)]))
    with pytest.raises(BuildFailed, match="no builder"):
        bench.run("buildx", large)


@pytest.mark.parametrize("deaf", [False, True])
def test_an_interrupt_ends_the_child_and_all_that_it_started(bench, monkeypatch, deaf):
    monkeypatch.setattr(child, "_END_S", 0.3)
    ignores = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" if deaf else ""
    bench.program(
        "podman",
        f"""
if "build" in sys.argv:
    import subprocess
    {ignores or "pass"}
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(os.getpid(), grandchild.pid, flush=True)
    time.sleep(60)
""",
    )
    told = []

    def tell(line):
        told.extend(int(word) for word in line.split() if word.isdigit())
        if len(told) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chosen("podman", order(), bench.environ).build(order(), tell)
    assert bench.leftovers == []
    eventually(lambda: not any(alive(number) for number in told[:2]), what="all children are gone")


def alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_context_is_fed_while_output_is_read(bench):
    """Neither side waits for the other, however much there is."""
    bench.program(
        "docker",
        "if 'build' in sys.argv:\n while piece := sys.stdin.buffer.read(10000):\n  print(len(piece), 'x' * 1000)",
    )
    large = order(context=made([text("Dockerfile", "x" * 10**7)]))
    assert len(bench.run("buildx", large)[1]) > 1000
    assert threading.active_count() < 10
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_command_that_cannot_be_started_is_told(bench):
    with pytest.raises(BuildFailed, match="cannot be started"):
        child.run(Command(("/nowhere/engine",)), FILES, os.environ, Veil((), {}), print)
