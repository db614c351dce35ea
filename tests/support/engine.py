"""A Docker engine for tests: the one that is there, or one of our own, which is stopped afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from bentod.spec.bases import base_of
from tests.support import base_image
from tests.support.base_image import Impossible
from tests.support.daemon import eventually

_APPEAR_S, _END_S, _CALL_S = 30.0, 30.0, 120
_BRIDGE, _NETWORK = f"bt{os.getpid()}", f"172.29.{os.getpid() % 250}.1/24"
_CHAINS = [["nat", "POSTROUTING", "-s", _NETWORK, "!", "-o", _BRIDGE, "-j", "MASQUERADE"]]
_CHAINS += [["filter", "FORWARD", way, _BRIDGE, "-j", "ACCEPT"] for way in ("-i", "-o")]
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_CHANGES = [
    "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    'CMD ["python"]',
]


class Engine:
    """A running engine. `base` is the image that it has, for the version `python`."""

    def __init__(self, host: str, python: str) -> None:
        self.host = host
        self.python = python
        self.base = base_of("debian", python).image
        self.client = docker.DockerClient(host, timeout=_CALL_S)

    @property
    def environ(self) -> dict[str, str]:
        """What leads a client to it."""
        return {"DOCKER_HOST": self.host}


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine with a base image. Skips the test if there is none, and none can be started."""
    with ExitStack() as stack:
        try:
            found = _there() or _ours(stack)
        except (Impossible, DockerException) as error:
            pytest.skip(f"no container engine: {error}")
        stack.callback(found.client.close)
        yield found


def _there() -> Engine | None:
    """An engine that answers already, and has a base image, or can get one."""
    for host in (os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock"):
        if host and _answers(host):
            found = Engine(host, _python())
            try:
                _get_base(found)
            except DockerException:  # it reaches no registry
                found.client.close()
            else:
                return found
    return None


def _ours(stack: ExitStack) -> Engine:
    """An engine that we start, with a base image that we make. Raises Impossible, DockerException."""
    base_image.release()  # before anything is started
    found = Engine(stack.enter_context(_started()), _python())
    with tempfile.TemporaryDirectory(prefix="bentod-base-", ignore_cleanup_errors=True) as folder:
        archive = base_image.make(Path(folder))
        repository, _, tag = found.base.partition(":")
        found.client.api.import_image_from_file(str(archive), repository, tag, changes=_CHANGES)
    return found


def _python() -> str:
    """The version whose base image can be made here."""
    with contextlib.suppress(Impossible):
        return base_image.PYTHONS[base_image.release()]
    return "3.11"


def _answers(host: str) -> bool:
    kind, _, path = host.partition("://")
    if kind == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path):  # the client would leave a socket open
                return False
    with contextlib.suppress(DockerException, OSError), contextlib.closing(docker.DockerClient(host, timeout=5)) as one:
        return bool(one.ping())
    return False


def _get_base(engine: Engine) -> None:
    """Raises DockerException."""
    with contextlib.suppress(ImageNotFound):
        engine.client.images.get(engine.base)
        return
    engine.client.images.pull(engine.base)


@contextmanager
def _started() -> Iterator[str]:
    """A private engine: its socket, data and network are its own. Raises Impossible."""
    dockerd = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if dockerd is None or os.getuid() != 0:
        raise Impossible("none answers, and starting one takes root, and dockerd (Debian: docker.io)")
    with tempfile.TemporaryDirectory(prefix="bentod-docker-", ignore_cleanup_errors=True) as name, _network():
        folder = Path(name)
        host = f"unix://{folder}/docker.sock"
        own = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "dockerd.pid"}
        words = [word for flag, path in own.items() for word in (flag, str(folder / path))]
        network = [f"--bridge={_BRIDGE}", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [dockerd, "-H", host, *words, *network], stdout=log, stderr=log, start_new_session=True
            )
        try:
            with contextlib.suppress(AssertionError):
                eventually(lambda: process.poll() is not None or _answers(host), _APPEAR_S)
            if process.poll() is not None or not _answers(host):
                raise Impossible(f"dockerd does not start: {(folder / 'log').read_text()[-500:]}")
            yield host
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _network() -> Iterator[None]:
    """A bridge from which this host's network can be reached, beside those of other engines. Raises Impossible."""
    forwarding = _FORWARDING.read_text()
    with ExitStack() as stack:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        stack.callback(_ip, "link", "delete", _BRIDGE)
        _ip("address", "add", _NETWORK, "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for table, chain, *rule in _CHAINS:
            _words("iptables", "-w", "-t", table, "-I", chain, *rule)
            stack.callback(_words, "iptables", "-w", "-t", table, "-D", chain, *rule)
        with contextlib.suppress(OSError):
            _FORWARDING.write_text("1")
            stack.callback(_FORWARDING.write_text, forwarding)
        yield


def _ip(*words: str) -> None:
    _words("ip", *words)


def _words(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Impossible(f"{words[0]}: {error}") from None
    if done.returncode:
        raise Impossible(f"{' '.join(words)}: {done.stderr.strip()}")
