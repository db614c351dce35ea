"""Real children, tiny ones: their channel, their output, their end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bentod.supervise.process import attach
from bentod.supervise.spawn import spawn
from bentod.wire.messages import Drain, Probe
from tests.support.daemon import alive, eventually
from tests.support.loops import run, until

ECHO = "import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); s.sendall(s.recv(999)); s.recv(1)"


@asynccontextmanager
async def child(code: str, environ: dict[str, str] | None = None, directory: Path = Path("/")):
    """A child that runs `code`, and the lines that it wrote; it is killed at the end."""
    lines: list[tuple[str, str]] = []
    argv = [sys.executable, "-S", "-E", "-u", "-c", code]
    spawned = spawn(argv, {} if environ is None else environ, directory, capture=True)
    found = await attach(spawned, lambda stream, line: lines.append((stream, line)))
    try:
        yield found, lines
    finally:
        found.kill()
        await found.wait()
        found.channel.close()
        await until(lambda: spawned.popen.stdout.closed and spawned.popen.stderr.closed)


def test_messages_go_both_ways_and_the_end_is_seen():
    async def main():
        async with child(ECHO) as (found, _):
            found.channel.send(Drain(1.5))
            assert await found.channel.receive() == Drain(1.5)
            assert found.exit_code is None
            found.channel.send(Probe())
            assert await found.channel.receive() is None
            assert await found.wait() == 0
            assert found.exit_code == 0

    run(main())


HELD = """import os, socket, sys, time
s = socket.socket(fileno=int(sys.argv[1]))
if os.fork():
    s.sendall(s.recv(999))
    os._exit(3)
os.setsid()
print(os.getpid())
time.sleep(60)
"""


def test_a_process_has_ended_although_what_it_forked_holds_its_channel():
    async def main():
        async with child(HELD) as (found, lines):
            await until(lambda: lines)
            try:
                found.channel.send(Probe())
                assert await found.wait() == 3
                async with asyncio.timeout(20):
                    assert [await found.channel.receive(), await found.channel.receive()] == [Probe(), None]
            finally:
                os.kill(int(lines[0][1]), signal.SIGKILL)

    run(main())


def test_output_comes_line_by_line_with_its_stream():
    async def main():
        code = "import sys; print('one'); print('two', file=sys.stderr); sys.stdout.write('three\\r\\n\\xe4\\nrest')"
        async with child(code, {"PYTHONIOENCODING": "latin-1"}) as (found, lines):
            assert await found.wait() == 0
            await until(lambda: len(lines) == 5)
            assert [line for stream, line in lines if stream == "stdout"][:2] == ["one", "three"]
            assert ("stderr", "two") in lines
            assert lines[-1][1] in {"rest", "two"}

    run(main())


def test_long_lines_are_cut_and_nothing_is_lost():
    async def main():
        code = "import sys; sys.stdout.write('x' * 300_000 + '\\n' + 'y' * 200_000 + '\\nend\\n')"
        async with child(code) as (_, lines):
            await until(lambda: lines and lines[-1] == ("stdout", "end"))
            texts = [line for _, line in lines]
            assert max(map(len, texts)) <= 64 * 1024
            assert "".join(texts) == "x" * 300_000 + "y" * 200_000 + "end"

    run(main())


@pytest.mark.parametrize(
    ("code", "ended"), [("import os; os._exit(7)", 7), ("import os; os.kill(os.getpid(), 15)", -15)]
)
def test_the_exit_code_is_told(code, ended):
    async def main():
        async with child(code) as (found, _):
            assert await found.wait() == ended
            assert found.exit_code == ended
            found.kill()

    run(main())


def test_a_child_has_only_its_environment_its_folder_and_no_input(tmp_path):
    async def main():
        code = "import os, sys; print(sorted(os.environ), os.getcwd(), sys.stdin.read() == '')"
        async with child(code, {"ONLY": "this"}, tmp_path) as (_, lines):
            await until(lambda: lines)
            names, _, rest = lines[0][1].partition("]")
            assert "'ONLY'" in names
            assert "HOME" not in names
            assert rest.split() == [str(tmp_path.resolve()), "True"]

    run(main())


def test_killing_ends_what_the_child_has_started_too():
    async def main():
        code = (
            "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
            "print(p.pid); p.wait()"
        )
        async with child(code) as (found, lines):
            await until(lambda: lines)
            grandchild = int(lines[0][1])
            assert alive(grandchild)
            found.kill()
            assert await found.wait() == -signal.SIGKILL
            eventually(lambda: not alive(grandchild))

    run(main())


def test_what_a_child_leaves_behind_ends_with_it():
    async def main():
        code = (
            "import os, subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'],"
            " stdin=subprocess.PIPE); print(p.pid); os._exit(0)"
        )
        async with child(code) as (found, lines):
            assert await found.wait() == 0
            await until(lambda: lines)
            eventually(lambda: not alive(int(lines[0][1])))

    run(main())


def test_a_child_leads_its_own_group_and_inherits_one_descriptor():
    async def main():
        code = "import os; print(os.getpgid(0) == os.getpid(), sorted(map(int, os.listdir('/proc/self/fd')))[3:])"
        with socket.socket() as other:
            other.set_inheritable(False)
            async with child(code) as (_, lines):
                await until(lambda: lines)
                leads, _, descriptors = lines[0][1].partition(" ")
                assert leads == "True"
                assert len(descriptors.split(",")) == 2  # its channel, and the folder that it lists

    run(main())


def descriptors() -> int:
    """How many files are open here."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_cannot_be_started_is_an_os_error(tmp_path):
    before = descriptors()
    for argv, folder in ((["/no/such/program"], tmp_path), ([sys.executable], tmp_path / "nowhere")):
        with pytest.raises(OSError, match=r".+"):
            spawn(argv, {}, folder, capture=True)
    assert descriptors() == before


def test_a_spare_child_that_is_not_needed_ends():
    code = "import socket,sys; socket.socket(fileno=int(sys.argv[1])).recv(1)"
    spawned = spawn([sys.executable, "-S", "-E", "-W", "ignore", "-c", code], {}, Path("/"), capture=False)
    spawned.abandon()
    assert spawned.popen.returncode == 0


def test_waiting_can_be_given_up_without_harm():
    async def main():
        async with child(ECHO) as (found, _):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(found.wait(), 0.01)
            found.kill()
            assert await found.wait() == -signal.SIGKILL

    run(main())
