"""The first process of a container passes signals on, and collects processes that nobody else waits for."""

import os
import pty
import signal
import sys
import textwrap

import pytest

from bentod.cli import first as module
from tests.support.namespaces import first

PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from bentod.cli import first

def say(*words):
    print(*words, flush=True)

first.begin()
"""

SIGNALS = """
minded = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, minded)
say("ready")
got = ""
while got != "SIGTERM":
    got = signal.Signals(signal.sigwait(minded)).name
    say(got)
"""


def program(text):
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(text)]


def test_any_other_process_goes_on_as_it_is(monkeypatch):
    monkeypatch.setattr(os, "fork", None)
    module.begin()


@pytest.mark.parametrize(
    ("text", "code"), [("sys.exit(7)", 7), ("", 0), ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9)]
)
def test_it_ends_as_its_child_does(text, code):
    with first(program(text)) as process:
        assert process.wait() == code


def test_signals_that_are_sent_to_it_reach_the_child():
    with first(program(SIGNALS)) as process:
        assert process.line() == "ready"
        for name in ("SIGHUP", "SIGINT", "SIGTERM"):
            process.send(signal.Signals[name])
            assert process.line() == name
        assert process.wait() == 0


def test_a_signal_before_anybody_minds_it_is_no_longer_dropped():
    with first(program("say('ready')\nwhile True: signal.pause()")) as process:
        assert process.line() == "ready"
        process.send(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM


def test_ctrl_c_in_a_terminal_reaches_the_child_once():
    ours, theirs = pty.openpty()
    steal = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 1)"
    command = [sys.executable, "-c", PRELUDE.replace("first.begin()", f"{steal}\nfirst.begin()") + SIGNALS]
    with first(["setsid", "--wait", *command], stdin=theirs) as process:  # a session of its own, in this terminal
        assert process.line() == "ready"
        os.write(ours, b"\x03")
        os.close(theirs)
        assert process.line() == "SIGINT"
        process.send(signal.SIGTERM)
        assert process.line() == "SIGTERM"
    os.close(ours)


def test_processes_that_nobody_waits_for_are_collected():
    text = """
    def zombies():
        stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
        return [fields for fields in stats if fields[0] == "Z"]

    for _ in range(50):
        between = os.fork()
        if not between:
            if not os.fork():
                os._exit(0)
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(between, 0)[1]) == 3  # our own are ours to wait for
    until = time.monotonic() + 10
    while (found := zombies()) and time.monotonic() < until:
        time.sleep(0.01)
    say(os.getpid() != 1, os.getppid(), len(found))
    """
    with first(program(text)) as process:
        assert process.line() == "True 1 0"
        assert process.wait() == 0


def test_sockets_that_were_meant_for_it_are_meant_for_the_child():
    with first(program("say(os.environ['LISTEN_PID'] == str(os.getpid()))"), {"LISTEN_PID": "1"}) as process:
        assert process.line() == "True"


def test_sigchld_may_have_been_ignored():
    ignoring = (
        "import signal, os, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with first([sys.executable, "-c", ignoring, *program("sys.exit(5)")]) as process:
        assert process.wait() == 5


def test_the_first_process_is_small():
    with first(
        program("say(Path('/proc/1/smaps_rollup').read_text().split('Private_Dirty:')[1].split()[0])")
    ) as process:
        assert int(process.line()) < 4 * 1024  # KiB; the rest is shared with the daemon
