"""The instructions of a Dockerfile as values. Each writes itself as exactly one instruction, on one line.

No value can say more than itself: whatever it holds, it adds no instruction, flag or word, and nothing in it is
replaced while an image is built. What a Dockerfile cannot say is Unwritable.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from bentod.render import quoting
from bentod.render.recipes import Unwritable, Written

MOST_BYTES = 65535
"""The longest line that every builder reads."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_STAGE = re.compile(r"[a-z][a-z0-9_-]*")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?")
_FRONTEND = re.compile(r"[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9._-]+")
_SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_USER = re.compile(r"[0-9]+(:[0-9]+)?")
_DIRECTIVE = re.compile(r"\s*[A-Za-z][A-Za-z0-9]*\s*=")


class Instruction(ABC):
    """One instruction of a Dockerfile."""

    keyword: ClassVar[str]

    @abstractmethod
    def arguments(self) -> str:
        """What follows the keyword. Raises Unwritable."""

    def render(self) -> str:
        """The instruction's line, without a line break. Raises Unwritable."""
        line = f"{self.keyword} {self.arguments()}"
        if len(line.encode()) > MOST_BYTES:
            raise Unwritable(f"a Dockerfile has no lines as long as this one of {self.keyword}: {line[:60]}…")
        return line


@dataclass(frozen=True, slots=True)
class Syntax(Instruction):
    """The first line: which image reads the file."""

    keyword = "#"
    frontend: str

    def arguments(self) -> str:
        """A parser directive."""
        return f"syntax={quoting.like(_FRONTEND, self.frontend, 'names no frontend')}"


@dataclass(frozen=True, slots=True)
class Comment(Instruction):
    """A line for who reads the file."""

    keyword = "#"
    text: str

    def arguments(self) -> str:
        """Any text but a parser directive."""
        if _DIRECTIVE.match(self.text):
            raise Unwritable(f"{self.text!r} would be a directive of the Dockerfile, not a comment")
        return quoting.line(self.text)


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """The beginning of a stage."""

    keyword = "FROM"
    image: str
    stage: str

    def arguments(self) -> str:
        """The image, or a stage before, and the stage's name."""
        image = quoting.like(_REFERENCE, self.image, "is not an image's reference")
        return f"{image} AS {quoting.like(_STAGE, self.stage, 'is not the name of a stage')}"


@dataclass(frozen=True, slots=True)
class _Assignment(Instruction):
    """A name and its value."""

    name: str
    value: str
    _names: ClassVar[re.Pattern[str]] = _VARIABLE

    def arguments(self) -> str:
        """Two words with `=` between them."""
        return f"{quoting.like(self._names, self.name, 'is not the name of a variable')}={quoting.quoted(self.value)}"


class Env(_Assignment):
    """A variable of the image's environment."""

    __slots__ = ()
    keyword = "ENV"


class Label(_Assignment):
    """A label of the image. Its name may hold anything but `=`."""

    __slots__ = ()
    keyword = "LABEL"

    def arguments(self) -> str:
        """Two words with `=` between them."""
        if not self.name or "=" in self.name:
            raise Unwritable(f"an image has no label by the name of {self.name!r}: it is empty or has a `=`")
        name = self.name if _LABEL.fullmatch(self.name) else quoting.in_quotes(self.name)
        return f"{name}={quoting.quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class PrependToPath(Instruction):
    """A folder before all others in PATH. The one place where a variable of the base image is used."""

    keyword = "ENV"
    folder: str

    def arguments(self) -> str:
        """An assignment."""
        return f'PATH="{quoting.path(self.folder)}:$PATH"'


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that stays from build to build and is not in the image."""

    target: str
    sharing: Literal["shared", "locked"] = "shared"

    def flag(self) -> str:
        """The flag of RUN."""
        sharing = "" if self.sharing == "shared" else f",sharing={self.sharing}"
        return f"--mount=type=cache,target={quoting.path(self.target)}{sharing}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A file of who builds, at /run/secrets/NAME; not in the image."""

    name: str

    def flag(self) -> str:
        """The flag of RUN. Without the file there is no build."""
        return f"--mount=type=secret,id={quoting.like(_SECRET, self.name, 'is not the name of a secret')},required=true"


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """A command, started without a shell."""

    keyword = "RUN"
    command: tuple[str, ...]
    mounts: tuple[Cache | Secret, ...] = ()

    def arguments(self) -> str:
        """The mounts, and the command as JSON."""
        return " ".join([*(mount.flag() for mount in self.mounts), quoting.command(self.command)])


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """Files of the build context, or of another stage."""

    keyword = "COPY"
    sources: tuple[str, ...]
    target: str
    stage: str = ""

    def arguments(self) -> str:
        """Paths as JSON. Builders look for variables and patterns in them, so they consist of plain letters."""
        words = [f"--from={quoting.like(_STAGE, self.stage, 'is not the name of a stage')}"] if self.stage else []
        return " ".join([*words, quoting.paths([*self.sources, self.target])])


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """Who runs what follows: numbers, which need no entry in any file."""

    keyword = "USER"
    numbers: str

    def arguments(self) -> str:
        """`user` or `user:group`."""
        return quoting.like(
            _USER, self.numbers, "is not the number of a user, or of a user and a group, as `1000:1000`"
        )


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """The current folder of what follows."""

    keyword = "WORKDIR"
    path: str

    def arguments(self) -> str:
        """The path."""
        return quoting.path(self.path)


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """A port that the image listens on."""

    keyword = "EXPOSE"
    port: int

    def arguments(self) -> str:
        """The number."""
        return str(int(self.port))


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """What asks the image to stop."""

    keyword = "STOPSIGNAL"
    name: Literal["SIGTERM", "SIGINT", "SIGQUIT"] = "SIGTERM"

    def arguments(self) -> str:
        """The name."""
        return self.name


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    """What runs in the image."""

    keyword = "ENTRYPOINT"
    command: tuple[str, ...]

    def arguments(self) -> str:
        """The command as JSON."""
        return quoting.command(self.command)


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """What tells whether the image does its work."""

    keyword = "HEALTHCHECK"
    command: tuple[str, ...]
    interval_s: float
    timeout_s: float
    start_s: float
    retries: int

    def arguments(self) -> str:
        """Flags, and the command as JSON."""
        times = {"interval": self.interval_s, "timeout": self.timeout_s, "start-period": self.start_s}
        flags = [f"--{name}={math.ceil(seconds)}s" for name, seconds in times.items()]
        return " ".join([*flags, f"--retries={int(self.retries)}", "CMD", quoting.command(self.command)])


def written(instruction: Instruction) -> Written:
    """The filter of a template, in which nothing else can stand. Raises Unwritable."""
    if not isinstance(instruction, Instruction):
        raise TypeError(f"{instruction!r} is no instruction")
    return Written(instruction.render())
