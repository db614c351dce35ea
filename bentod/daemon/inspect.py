"""The import level of `validate`: targets are imported in throw-away processes, and compared with their APIs.

User code may print, exit, hang or start threads: its output is caught, its answer comes over a socket of its own, its
process group is killed at the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bentod
from bentod.errors import Problem, WireError
from bentod.spec.interpolate import Seat, expand
from bentod.spec.load import Loaded
from bentod.spec.model import Service
from bentod.spec.node import Path as Route
from bentod.spec.node import dotted
from bentod.spec.signature import Manner, Misfit, compare, compare_init
from bentod.wire.messages import Failed, Message, Ready, Setup, decode, encode

_LARGEST_ANSWER = 4 * 1024 * 1024
_KEPT_OUTPUT = 4096
_INSTALL = f"packages must be in the Python that runs bentod: `{sys.executable} -m pip install` puts them there"
_FRAME = re.compile(r'^  File "(.+?)", line (\d+)', re.MULTILINE)


@dataclass(slots=True)
class _Answer:
    """What came from one child. `code` is its exit status, None if it was killed for taking too long."""

    messages: list[Message] = field(default_factory=list)
    output: bytes = b""
    code: int | None = None


def inspect_targets(loaded: Loaded, timeout_s: float = 60.0, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """What is wrong with the targets of `loaded` once they are imported. The children see `environ` and the spec's."""
    problems: list[Problem] = []
    for name, service in loaded.spec.services.items():
        problems += _Inspection(loaded, name, service).problems(timeout_s, os.environ if environ is None else environ)
    return problems


class _Inspection:
    """One service: what it is asked and what its answer means."""

    def __init__(self, loaded: Loaded, name: str, service: Service) -> None:
        self._loaded = loaded
        self._name = name
        self._service = service
        self._apis = {key: api for key, api in loaded.spec.apis.items() if api.service == name}
        hooks = (service.hooks.start, service.hooks.stop, service.hooks.ready)
        self._hooks = [hook for hook in hooks if hook]
        self._methods = list(dict.fromkeys([*(api.method for api in self._apis.values()), *self._hooks]))

    def problems(self, timeout_s: float, environ: Mapping[str, str]) -> list[Problem]:
        """Run the child and judge its answer."""
        setup = Setup(
            self._name, 0, self._service.target, str(self._loaded.directory), tuple(self._methods), inspect=True
        )
        variables = {**environ, **expand({**self._loaded.spec.env, **self._service.env}, Seat(), {})}
        answer = _ask(setup, timeout_s, variables)
        if not answer.messages:
            return [self._silent(answer, timeout_s)]
        first, *rest = answer.messages
        if isinstance(first, Failed):
            return [self._failed(first)]
        problems = self._judge_init(first) if isinstance(first, Ready) else []
        for method, message in zip(self._methods, rest, strict=False):
            problems += self._judge(method, message)
        if len(rest) < len(self._methods):
            problems.append(self._silent(answer, timeout_s))
        return problems

    def _target_path(self) -> Route:
        """Where the target is written: in the service, or in the first API that implies it."""
        if dotted(("services", self._name, "target")) in self._loaded.origins:
            return ("services", self._name, "target")
        return ("apis", next(iter(self._apis), ""), "target")

    def _judge_init(self, ready: Ready) -> list[Problem]:
        target, init = self._service.target, self._service.init
        constructor = ready.methods[0].parameters if ready.methods else None
        if constructor is not None:
            misfits = compare_init(target, constructor, init)
        elif init and not ready.methods:
            misfits = [Misfit(("init",), "wrong-value", f"`init` is for a class, and `{target}` is none")]
        else:
            misfits = []
        if dotted(("services", self._name)) in self._loaded.origins:
            return [self._problem(("services", self._name, *misfit.path), misfit) for misfit in misfits]
        hint = "write a service with `init`, and name it and its method in the API"
        return [self._problem(self._target_path(), Misfit((), m.code, m.message, hint)) for m in misfits]

    def _judge(self, method: str, message: Message) -> list[Problem]:
        problems = []
        for name, api in self._apis.items():
            if api.method != method:
                continue
            if isinstance(message, Failed):
                misfits = [Misfit(("method",), "missing-attribute", f"`{self._service.target}`: {message.error}")]
            elif isinstance(message, Ready):
                manner = Manner(api.stream, api.takes, api.batching is not None)
                misfits = compare(message.methods[0], api.input, self._loaded.spec.types, manner)
            else:
                misfits = []
            problems += [self._problem(("apis", name, *misfit.path), misfit) for misfit in misfits]
        if method in self._hooks and isinstance(message, Failed):
            misfit = Misfit((), "missing-attribute", f"`{self._service.target}`: {message.error}")
            problems.append(self._problem(("services", self._name, "hooks"), misfit))
        return problems

    def _failed(self, failed: Failed) -> Problem:
        project = self._loaded.directory.resolve()
        own = [(Path(file), line) for file, line in _FRAME.findall(failed.traceback)]
        inside = [(file.relative_to(project), line) for file, line in own if file.is_relative_to(project)]
        where = f" at {inside[-1][0]}:{inside[-1][1]}" if inside else ""
        message = f"importing `{self._service.target}` failed{where}: {failed.error}"
        hint = _INSTALL if failed.error.startswith("ModuleNotFoundError") else ""
        return self._problem(self._target_path(), Misfit((), "import-failed", message, hint))

    def _silent(self, answer: _Answer, timeout_s: float) -> Problem:
        target = self._service.target
        if answer.code is None:
            message = f"importing `{target}` did not end within {timeout_s:g} s, and was killed"
            hint = "load models in the constructor or in the `start` hook, not while importing"
            return self._problem(self._target_path(), Misfit((), "import-timeout", message, hint))
        how = f"signal {signal.Signals(-answer.code).name}" if answer.code < 0 else f"exit status {answer.code}"
        lines = answer.output.decode(errors="replace").strip().splitlines()
        hint = f"its last output: {lines[-1][:200]}" if lines else "it printed nothing"
        message = f"importing `{target}` ended the process ({how})"
        return self._problem(self._target_path(), Misfit((), "import-exited", message, hint))

    def _problem(self, path: Route, misfit: Misfit) -> Problem:
        """`misfit` at `path`, or at the nearest part around it that is written."""
        written = path
        while written and dotted(written) not in self._loaded.origins:
            written = written[:-1]
        place = self._loaded.origins[dotted(written)] if written else None
        file, line, column = (place.file, place.line, place.column) if place else (str(self._loaded.files[0]), 0, 0)
        return Problem(misfit.code, misfit.message, file, line, column, dotted(path), misfit.hint)


def _ask(setup: Setup, timeout_s: float, environ: Mapping[str, str]) -> _Answer:
    ours, theirs = socket.socketpair()
    folder = str(Path(bentod.__file__).parent.parent)
    paths = [folder, *filter(None, [environ.get("PYTHONPATH")])]
    with ours, theirs:
        # -P: the project's folder must not shadow what bentod itself imports.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod.worker.inspect", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            cwd=setup.project,
            env={**environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        theirs.close()
        try:
            return _Listener(process, ours, 1 + len(setup.methods)).listen(setup, timeout_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout:
                process.stdout.close()
            process.wait()


class _Listener:
    """Reads a child's answer and its output until it has answered, ended or run out of time."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, expected: int) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout
        self._channel = channel
        self._channel_closed = False
        self._expected = expected
        self._buffer = b""
        self._answer = _Answer()

    def listen(self, setup: Setup, timeout_s: float) -> _Answer:
        """Send `setup` and collect what comes."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(OSError):
            self._channel.sendall(encode(setup))
            self._channel.shutdown(socket.SHUT_WR)
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ, self._answered)
            selector.register(self._output, selectors.EVENT_READ, self._printed)
            while not self._done():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    return self._answer
                for key, _ in ready:
                    if not key.data():
                        selector.unregister(key.fileobj)
                if self._channel_closed:
                    break
        return self._ending(deadline)

    def _done(self) -> bool:
        messages = self._answer.messages
        return len(messages) >= self._expected or (bool(messages) and isinstance(messages[0], Failed))

    def _ending(self, deadline: float) -> _Answer:
        if self._done():
            self._answer.code = 0
            return self._answer
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._answer.code = self._process.wait(max(0.1, deadline - time.monotonic()))
        os.set_blocking(self._output.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            # What a dying process printed last explains its end.
            while self._printed():
                pass
        return self._answer

    def _printed(self) -> bool:
        data = os.read(self._output.fileno(), 65536)
        self._answer.output = (self._answer.output + data)[-_KEPT_OUTPUT:]
        return bool(data)

    def _answered(self) -> bool:
        """Take what has come; False once nothing more can."""
        try:
            data = self._channel.recv(65536)
            self._buffer += data
            self._channel_closed = not data
            while len(self._buffer) >= 4 + (size := int.from_bytes(self._buffer[:4])) and len(self._buffer) >= 4:
                self._answer.messages.append(decode(self._buffer[4 : 4 + size]))
                self._buffer = self._buffer[4 + size :]
        except (OSError, WireError):
            self._channel_closed = True
        if len(self._buffer) > _LARGEST_ANSWER:
            self._channel_closed = True
        return not self._channel_closed
