"""Docker's engine, asked through its API: builds with BuildKit, pulls, pushes, and says what is in an image."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from urllib3.exceptions import HTTPError

from bentod.image import messages
from bentod.image.context import Context, tar
from bentod.image.dockerfile import images
from bentod.image.junk import printable
from bentod.image.order import BuildFailed, Image, Layer, NoEngine, Order, Tell
from bentod.image.references import full, split
from bentod.image.steps import Steps

_CONNECT_S = 10
_ASK_S = 60
"""How long an engine that answers at all may take to say what it knows of an image."""
_TAKE_S = 600
"""How long an engine may be busy before it takes the next piece of the context."""
_USUAL = "unix:///var/run/docker.sock"
_CREDENTIALS = re.compile(r"//[^/]*@")
_PIECE = 64 * 1024
_PARTS = 10
_LARGE = 100 * 1000 * 1000
_MOST = 2000


class Engine:
    """An engine that answered. Raises NoEngine if there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        where = "its current context"
        try:
            where, options = _found(dict(environ))
            _reach(where)
            asked = docker.APIClient(**options, version="auto", timeout=_CONNECT_S)
            version = asked.api_version
            asked.close()
            self._asked: Any = docker.APIClient(**options, version=version, timeout=_ASK_S)
            self._api: Any = docker.APIClient(**options, version=version, timeout=None)  # type: ignore[arg-type]
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise NoEngine(f"docker at {printable(where)}: {_why(error)}") from None

    def close(self) -> None:
        """End the connections."""
        self._asked.close()
        self._api.close()

    def build(self, order: Order, tell: Tell) -> str:
        """Build the image. Returns its id. Raises BuildFailed, ContextError."""
        self._pull_missing(order, tell)
        answer = self._post("/build", query(order), _uploaded(order.context, tell))
        steps, found = Steps(), ""
        with contextlib.closing(answer):
            for message in _answered(answer):
                if error := messages.error(message):
                    raise BuildFailed(f"the image cannot be built: {printable(error, _MOST)}")
                status = messages.status(message)
                lines = steps.told(status) if status else [printable(messages.line(message), _MOST)]
                for line in filter(None, lines):
                    tell(line)
                found = messages.image_id(message) or found
        if not found:
            raise BuildFailed("the engine ended the build without an image, and does not say why; see its log")
        return found

    def push(self, tag: str, tell: Tell) -> None:
        """Push an image to the registry that its name says. Raises BuildFailed."""
        repository, version = split(tag)
        with _failing(f"`{tag}` cannot be pushed"):
            said = self._api.push(repository, version, stream=True)
            _tell_all(said, f"`{tag}` cannot be pushed", tell)

    def image(self, reference: str) -> Image:
        """What is in an image, layer by layer. Raises BuildFailed."""
        with _failing(f"the engine does not describe {printable(reference)}"):
            found, history = self._asked.inspect_image(reference), self._asked.history(reference)
            layers = tuple(Layer(_made_by(one), int(one["Size"])) for one in reversed(history))
            return Image(str(found["Id"]), int(found["Size"]), layers)

    def _pull_missing(self, order: Order, tell: Tell) -> None:
        """Images that the build starts from: BuildKit could pull only those that need no login."""
        platform = order.platforms[0] if order.platforms else None
        for name in images(order.dockerfile, order.build_args):
            if not self._has(name):
                tell(f"pulling {name}")
                repository, tag = (name, None) if "@" in name else split(name)
                failure = f"the image {name}, which the build starts from, is not here and cannot be pulled"
                with _failing(failure):
                    said = self._api.pull(repository, tag, stream=True, platform=platform)
                    _tell_all(said, failure, tell)

    def _has(self, name: str) -> bool:
        try:
            self._asked.inspect_image(name if "@" in name else full(name))
        except docker.errors.ImageNotFound:
            return False
        except (DockerException, requests.RequestException) as error:
            raise BuildFailed(f"the engine cannot be asked for {name}: {_why(error)}") from None
        return True

    def _post(self, path: str, params: Mapping[str, Any], data: Iterator[bytes]) -> requests.Response:
        url = f"{self._api.base_url}/v{self._api.api_version}{path}"
        headers = {"Content-Type": "application/x-tar"}
        with _failing("the engine broke off while it was given the build context"):
            answer: requests.Response = self._api.post(
                url, params=params, data=data, headers=headers, stream=True, timeout=(_TAKE_S, None)
            )
        if not answer.ok:
            text = answer.raw.read(messages.LONGEST, decode_content=True)
            said = next(iter(_quietly(text)), {}).get("message")
            answer.close()
            raise BuildFailed(f"the engine refuses to build: {printable(str(said or answer.reason), _MOST)}")
        return answer


def query(order: Order) -> dict[str, Any]:
    """What the engine is asked, besides the context."""
    asked: dict[str, Any] = {"version": "2", "dockerfile": "Dockerfile", "t": list(order.tags)}
    if order.platforms:
        asked["platform"] = order.platforms[0]
    if order.build_args:
        asked["buildargs"] = json.dumps(dict(order.build_args))
    if order.no_cache:
        asked["nocache"] = "1"
    if order.network:
        asked["networkmode"] = order.network
    return asked


def address(environ: Mapping[str, str]) -> str:
    """Where the engine is looked for: DOCKER_HOST, the context of docker's command line, or the usual socket. Without
    the name and the password that may be in it."""
    try:
        return _CREDENTIALS.sub("//", printable(_found(dict(environ))[0]))
    except (DockerException, OSError, ValueError):
        return "its current context"


def _found(environ: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Where the engine is, and what a client needs to know to get there."""
    options: dict[str, Any] = dict(kwargs_from_env(environment=environ))
    if "base_url" not in options:
        options = {**ContextAPI.kwargs_from_context(environment=environ), **options}
    return str(options.get("base_url") or _USUAL), options


def _reach(where: str) -> None:
    """Whether a socket answers: a client that fails to connect says less of it, and leaves its own open. Through ssh
    none does without paramiko, which is no dependency: docker's own command line needs none."""
    if where.startswith("ssh://") and importlib.util.find_spec("paramiko") is None:
        raise ValueError("an engine is reached through ssh by its command line: `--backend buildx`")
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as tried:
            tried.settimeout(_CONNECT_S)
            tried.connect(where.removeprefix("unix://"))


def _uploaded(context: Context, tell: Tell) -> Iterator[bytes]:
    """The archive; of a large one it is told how far it is."""
    sent, told = 0, 0
    for piece in tar(context):
        yield piece
        sent += len(piece)
        part = min(_PARTS, sent * _PARTS // max(1, context.size))
        if context.size > _LARGE and part > told:
            told = part
            tell(f"build context: {100 * part // _PARTS} % of {context.size / 1e6:,.0f} MB")


def _answered(answer: requests.Response) -> Iterator[dict[str, Any]]:
    with _failing("the engine broke off while it built"):
        yield from messages.messages(answer.raw.stream(_PIECE, decode_content=True))


def _tell_all(said: Any, failure: str, tell: Tell) -> None:
    for message in messages.messages(said):
        if error := messages.error(message):
            raise BuildFailed(f"{failure}: {printable(error, _MOST)}")
        if line := printable(messages.line(message), _MOST):
            tell(line)


def _quietly(text: bytes) -> list[dict[str, Any]]:
    try:
        return list(messages.messages([text]))
    except messages.Broken:
        return []


def _made_by(one: Mapping[str, Any]) -> str:
    said = str(one.get("CreatedBy") or one.get("Comment") or "imported").removesuffix("# buildkit")
    return printable(" ".join(said.split()), 300)


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, requests.RequestException, OSError, ValueError, KeyError, TypeError, HTTPError) as error:
        raise BuildFailed(f"{what}: {_why(error)}") from None


def _why(error: BaseException) -> str:
    """What lies at the bottom of an error, in a line."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return printable(str(explanation), _MOST)
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = (
            error.__cause__
            or error.__context__
            or next((one for one in error.args if isinstance(one, Exception)), None)
        )
        error = inner if isinstance(inner, Exception) else error
    if isinstance(error, TimeoutError):
        return f"it has not answered within {_ASK_S} s; see what it does with `docker info`, or start it again"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error) or type(error).__name__, _MOST)
