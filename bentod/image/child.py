"""Runs the command line of an engine: gives it the context, passes on what it says, and ends it if we end."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import IO

from bentod.image import context as contexts
from bentod.image.context import Context, ContextError
from bentod.image.folder import temporary
from bentod.image.junk import printable
from bentod.image.order import FOLDER, BuildFailed, Command, Tell
from bentod.image.secrets import Veil

_LONGEST_LINE = 4000
_END_S = 10.0
_ASK_S = 20.0
_LONGEST_READ = 64 * 1024


def run(command: Command, context: Context, environ: Mapping[str, str], veil: Veil, tell: Tell) -> None:
    """Run a command line to its end. Raises BuildFailed, ContextError."""
    if command.context == "folder":
        with temporary(context) as folder:
            argv = tuple(word.replace(FOLDER, str(folder)) for word in command.argv)
            _run(argv, None, {**environ, **command.environ}, veil, tell)
    else:
        given = context if command.context == "stdin" else None
        _run(command.argv, given, {**environ, **command.environ}, veil, tell)


def said(argv: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    """What a command that ends soon prints; None if it fails, whatever the reason."""
    status, out, _ = _asked(argv, environ)
    return out if status == 0 else None


def why_not(argv: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    """Why a command that ends soon fails; None if it does not."""
    status, out, error = _asked(argv, environ)
    last = [line for line in (out + error).splitlines() if line.strip()][-1:]
    return None if status == 0 else printable(last[0].strip() if last else f"it ended with status {status}")


def _asked(argv: tuple[str, ...], environ: Mapping[str, str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False
        )
    except OSError as error:
        return -1, "", error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return -1, "", f"it did not answer within {_ASK_S:g} s"
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def shown(command: Command) -> str:
    """The command line as it could be typed."""
    words = shlex.join(word.replace(FOLDER, "CONTEXT") for word in command.argv)
    environ = "".join(f"{name}={shlex.quote(value)} " for name, value in command.environ.items())
    return f"{environ}{words}{' < CONTEXT.tar' if command.context == 'stdin' else ''}"


def _run(argv: tuple[str, ...], given: Context | None, environ: Mapping[str, str], veil: Veil, tell: Tell) -> None:
    stdin = subprocess.DEVNULL if given is None else subprocess.PIPE
    try:
        child = subprocess.Popen(
            argv, env=environ, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
        )
    except OSError as error:
        raise BuildFailed(f"`{argv[0]}` cannot be started: {error.strerror}") from None
    with _ended(child):
        feeder = _Feeder(child, given) if given is not None else None
        assert child.stdout is not None
        last = ""
        for line in _lines(child.stdout):
            shown_line = printable(veil.over(line), _LONGEST_LINE)
            last = shown_line or last
            tell(shown_line)
        status = child.wait()
        if feeder is not None:
            feeder.end()
    if status:
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise BuildFailed(f"`{shlex.join(argv[:2])}` {how}{f': {last}' if last else ''}")


def _lines(output: IO[bytes]) -> Iterator[str]:
    """Lines, of which one that is too long is cut; a carriage return ends one, too."""
    whole = True
    while line := output.readline(_LONGEST_READ):
        if whole:
            yield from line.decode("utf-8", "replace").rstrip("\r\n").split("\r")
        whole = line.endswith(b"\n")


@contextlib.contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, the child and those it started are gone afterwards: asked first, then made to."""
    try:
        yield
    finally:
        if child.poll() is None:
            _signal(child, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_S)
        _signal(child, signal.SIGKILL)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


class _Feeder:
    """Writes the context to a child, beside what reads its output."""

    def __init__(self, child: subprocess.Popen[bytes], context: Context) -> None:
        self._child = child
        self._error: ContextError | None = None
        assert child.stdin is not None
        self._thread = threading.Thread(target=self._feed, args=(child.stdin, context), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Raises ContextError if the context could not be read."""
        self._thread.join(_END_S)
        if self._error is not None:
            raise self._error

    def _feed(self, stdin: IO[bytes], context: Context) -> None:
        """A child that reads no more says itself why. One whose context breaks off must not build what it has."""
        try:
            for piece in contexts.tar(context):
                stdin.write(piece)
        except ContextError as error:
            self._error = error
            _signal(self._child, signal.SIGKILL)
        except (OSError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError, ValueError):
                stdin.close()
