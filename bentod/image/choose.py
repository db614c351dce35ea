"""Which engine builds: the one that was asked for, or the first that is there. What was tried is told if none is."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from bentod.image import child, commands
from bentod.image.junk import printable
from bentod.image.order import BuildFailed, Command, Image, Layer, NoEngine, Order, Tell
from bentod.image.secrets import Veil

if TYPE_CHECKING:
    from bentod.image.engine import Engine

AUTO = ("docker", "podman", "buildah")
_BUILDKIT_INSIDE = 23
"""From this version on docker's command line needs its plug-in for BuildKit."""
_OTHERS = {
    "buildx": commands.buildx,
    "podman": commands.podman,
    "buildah": commands.buildah,
    "buildctl": commands.buildctl,
}


class Builder(Protocol):
    """An engine that is there."""

    name: str

    def build(self, order: Order, tell: Tell) -> Image:
        """Build, push if that is asked for, and say what is in the image. Raises BuildFailed, ContextError."""


def chosen(backend: str, order: Order, environ: Mapping[str, str]) -> Builder:
    """The engine to build with; `auto` for the first that is there. Raises NoEngine, which names all that was tried."""
    tried = []
    for name in AUTO if backend == "auto" else (backend,):
        try:
            return _docker(order, environ) if name == "docker" else _other(name, order, environ)
        except NoEngine as error:
            tried.append(str(error))
    hint = "start one, name another with `--backend`, or write the build context with `--output DIR`"
    what = "the image" if backend == "auto" else f"the image with {backend}"
    raise NoEngine("\n".join([f"nothing can build {what}; tried:", *(f"  {one}" for one in tried), hint]))


def likely(backend: str, environ: Mapping[str, str]) -> str:
    """The backend that would be chosen, as far as can be told without asking any."""
    if backend != "auto":
        return backend
    if "DOCKER_HOST" in environ or _program("docker", environ):
        return "docker"
    return next((name for name in AUTO[1:] if _program(name, environ)), "docker")


def described(backend: str, order: Order, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What would be asked of a backend, as lines. Nothing is started. Raises NoEngine for what it cannot do."""
    if backend != "docker" or order.secrets:
        lines = commands.docker(order) if backend == "docker" else _OTHERS[backend](order)
        return tuple(map(child.shown, lines))
    from bentod.image.engine import address, query

    commands.check_platforms(order)
    asked = urllib.parse.urlencode(query(order), doseq=True)
    build = f"POST /build?{asked} < CONTEXT.tar, to docker at {address(environ)}"
    return (build, *(f"POST /images/{tag}/push" for tag in order.tags if order.push))


def _docker(order: Order, environ: Mapping[str, str]) -> Builder:
    from bentod.image.engine import Engine

    commands.check_platforms(order)
    engine = Engine(environ)
    if not order.secrets:
        return _ByApi(engine)
    tried = []
    for program in _programs("docker", environ):
        if why := _why_no_buildkit(program, environ):
            tried.append(f"{program} ({why})")
        else:
            return _ByCommands("docker", commands.docker(order, program), environ, engine)
    found = ", ".join(tried) or "there is none on PATH"
    raise NoEngine(
        "docker: secrets are given by its command line, which needs BuildKit: the plug-in buildx, or a version before "
        f"23; {found}"
    )


def _why_no_buildkit(program: str, environ: Mapping[str, str]) -> str:
    if child.said((program, "buildx", "version"), environ) is not None:
        return ""
    version = (child.said((program, "version", "--format", "{{.Client.Version}}"), environ) or "").strip()
    major = version.partition(".")[0]
    if major.isascii() and major.isdigit() and int(major) < _BUILDKIT_INSIDE:
        return ""
    return f"version {printable(version, 40)} without buildx" if version else "it does not say its version"


def _other(name: str, order: Order, environ: Mapping[str, str]) -> Builder:
    needed = "docker" if name == "buildx" else name
    program = _program(needed, environ)
    if not program:
        raise NoEngine(f"{name}: there is no program `{needed}` on PATH")
    asked = {
        "buildx": (program, "buildx", "version"),
        "podman": (program, "info"),
        "buildah": (program, "info"),
        "buildctl": (program, "debug", "workers"),
    }
    if (why := child.why_not(asked[name], environ)) is not None:
        raise NoEngine(f"{name}: `{' '.join(asked[name])}` does not work: {why}")
    engine = None
    if name == "buildx":
        with contextlib.suppress(NoEngine):
            from bentod.image.engine import Engine

            engine = Engine(environ)
    return _ByCommands(name, _OTHERS[name](order), environ, engine)


def _program(name: str, environ: Mapping[str, str]) -> str:
    return shutil.which(name, path=environ.get("PATH", "")) or ""


def _programs(name: str, environ: Mapping[str, str]) -> list[str]:
    """All programs of this name on PATH."""
    places = environ.get("PATH", "").split(":")
    return list(dict.fromkeys(found for place in places if place and (found := shutil.which(name, path=place))))


class _ByApi:
    name = "docker"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def build(self, order: Order, tell: Tell) -> Image:
        with contextlib.closing(self._engine):
            made = self._engine.build(order, tell)
            for tag in order.tags if order.push else ():
                self._engine.push(tag, tell)
            try:
                return self._engine.image(made)
            except BuildFailed as error:  # the image is there all the same
                tell(f"the image is built, but {error}")
                return Image()


class _ByCommands:
    def __init__(
        self, name: str, lines: tuple[Command, ...], environ: Mapping[str, str], engine: Engine | None = None
    ) -> None:
        self.name = name
        self._lines, self._environ, self._engine = lines, environ, engine

    def build(self, order: Order, tell: Tell) -> Image:
        veil = Veil(order.secrets, self._environ)
        for line in self._lines:
            child.run(line, order.context, self._environ, veil, tell)
        if self._engine is not None:
            with contextlib.closing(self._engine), contextlib.suppress(BuildFailed):
                return self._engine.image(order.tags[0])
        return self._described(order.tags[0]) if self.name == "podman" and len(order.platforms) < 2 else Image()

    def _described(self, tag: str) -> Image:
        """What podman says of an image; nothing if it says it otherwise than expected."""
        inspected = child.said(("podman", "image", "inspect", tag), self._environ) or ""
        history = child.said(("podman", "history", "--no-trunc", "--format", "json", tag), self._environ) or ""
        try:
            found: dict[str, Any] = json.loads(inspected)[0]
            layers = tuple(_layer(one) for one in reversed(json.loads(history)))
            return Image(str(found["Id"]), int(found["Size"]), layers)
        except (ValueError, LookupError, TypeError, AttributeError):
            return Image()


def _layer(one: Mapping[str, Any]) -> Layer:
    return Layer(printable(" ".join(str(one.get("CreatedBy") or "imported").split()), 300), int(one.get("size") or 0))
