"""What `build` asks for in Python packages: its list and its requirements file, read strictly.

Only what is certain to mean the same tomorrow is taken: names with versions, and archives with their hash. What says
where packages come from belongs to `build.index_url`, so that one place decides it, and nothing in a file that somebody
else may write can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bentod
from bentod.errors import Problem, SpecError
from bentod.lock.logical import Logical, hashes_of, logical_lines
from bentod.lock.one import Refused, requirement
from bentod.lock.options import included, refused
from bentod.lock.text import read_text
from bentod.spec.model_build import Build
from bentod.spec.node import Place

OWN = "bentod"
"""What an image has in any case, in the version that builds it: it may be asked for, but is not fetched."""

_MOST_BYTES = 8 * 1024 * 1024
_MOST_FILES = 64
_NOWHERE = Place("", 0, 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement, or one constraint: a limit for packages that something else asks for. `hashes` are as pip writes
    them, `sha256:…`."""

    requirement: Requirement
    hashes: tuple[str, ...] = ()
    constraint: bool = False
    file: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        """The line as a requirements file has it."""
        return " ".join([str(self.requirement), *(f"--hash={one}" for one in self.hashes)])

    def problem(self, code: str, message: str, hint: str = "") -> Problem:
        """A problem where this is written."""
        return Problem(code, message, self.file, self.line, 1 if self.line else 0, hint=hint)


@dataclass(frozen=True, slots=True)
class Requirements:
    """All that `build` asks for, in the order that it is written."""

    lines: tuple[Line, ...] = ()

    @property
    def packages(self) -> tuple[Line, ...]:
        """What is to be installed."""
        return tuple(line for line in self.lines if not line.constraint)

    @property
    def constraints(self) -> tuple[Line, ...]:
        """What limits the versions."""
        return tuple(line for line in self.lines if line.constraint)

    @property
    def digest(self) -> str:
        """Tells whether something else is asked for; order and comments do not count."""
        said = {("-c " if line.constraint else "") + line.text for line in self.lines}
        return "sha256:" + hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()


def requirements(build: Build, folder: Path, origins: Mapping[str, Place]) -> Requirements:
    """What `build` asks for; `folder` is the project's, and `origins` says where each key of the spec is written.
    Raises SpecError, which says all that is wrong."""
    lines: list[Line] = []
    problems: list[Problem] = []
    for index, text in enumerate(build.packages):
        place = origins.get(f"build.packages[{index}]", _NOWHERE)
        try:
            lines.append(Line(requirement(text), file=place.file, line=place.line))
        except Refused as error:
            path = f"build.packages[{index}]"
            problems.append(
                Problem(error.code, error.message, place.file, place.line, place.column, path, hint=error.hint)
            )
    if build.requirements is not None:
        found = read_file(folder / build.requirements, folder)
        lines += found[0]
        problems += found[1]
    problems += [
        line.problem("needs-lock", "hashes are for files that name all packages", "name the file as `build.lock`")
        for line in lines
        if line.hashes
    ]
    own = [line for line in lines if canonicalize_name(line.requirement.name) == OWN]
    problems += [
        line.problem("own-package", f"`{line.requirement}` is asked for, and this is {bentod.__version__}", "remove it")
        for line in own
        if line.requirement.url or not line.requirement.specifier.contains(bentod.__version__, prereleases=True)
    ]
    if problems:
        raise SpecError(problems)
    return Requirements(tuple(line for line in lines if line not in own))


def read_file(path: Path, project: Path, *, hashed: bool = False) -> tuple[tuple[Line, ...], list[Problem]]:
    """What a requirements file says, with what it includes from the project, and what is wrong with it. `hashed`: it is
    a lock file."""
    reader = _Reader(project, hashed=hashed)
    reader.file(path, (), constraint=False, asked=None)
    return tuple(reader.lines), reader.problems


class _Reader:
    """Follows `-r` and `-c` from file to file."""

    def __init__(self, project: Path, *, hashed: bool) -> None:
        self.lines: list[Line] = []
        self.problems: list[Problem] = []
        self._project = project.resolve()
        self._hashed = hashed
        self._read: set[tuple[Path, bool]] = set()

    def file(self, path: Path, around: tuple[Path, ...], *, constraint: bool, asked: Line | None) -> None:
        """Read one file; `around` are those that include it, and `asked` is the line that does."""
        real = path.resolve()
        if message := self._refusal(real, around):
            self._wrong(asked, str(path), "outside-project" if "leaves" in message else "cycle", message)
            return
        if (real, constraint) in self._read:
            return
        self._read.add((real, constraint))
        try:
            text = read_text(path, _MOST_BYTES)
        except SpecError as error:
            self.problems += error.problems
            return
        if text is None:
            self._wrong(asked, str(path), "missing-file", f"`{path.name}` does not exist")
            return
        lines, problems = logical_lines(text, str(path))
        self.problems += problems
        for line in lines:
            self._line(line, path, (*around, real), constraint=constraint)

    def _refusal(self, real: Path, around: tuple[Path, ...]) -> str:
        if not real.is_relative_to(self._project):
            return f"`{real.name}` leaves the project; keep it inside {self._project}"
        if real in around:
            return f"`{real.name}` includes itself"
        return f"more than {_MOST_FILES} files include each other" if len(self._read) >= _MOST_FILES else ""

    def _line(self, line: Logical, path: Path, around: tuple[Path, ...], *, constraint: bool) -> None:
        try:
            if self._hashed and line.text == "--require-hashes":
                return
            if not line.text.startswith("-"):
                self.lines.append(self._requirement(line, str(path), constraint=constraint))
                return
            option, name = included(line.text)
            if option and self._hashed:
                hint = "one file is the lock, so that its digest tells of every change: export it anew"
                raise Refused("wrong-value", "a lock file includes no other file", hint)
            asked = Line(Requirement("x"), file=str(path), line=line.number)
            limit = constraint or option == "-c"
            if option:
                self.file(path.parent / name, around, constraint=limit, asked=asked)
                return
            raise refused(line.text)
        except Refused as error:
            self.problems.append(Problem(error.code, error.message, str(path), line.number, 1, hint=error.hint))

    def _requirement(self, line: Logical, file: str, *, constraint: bool) -> Line:
        text, hashes = hashes_of(line.text)
        found = requirement(text)
        if constraint and (found.extras or found.url):
            raise Refused("wrong-value", "a constraint has a name and versions, and nothing else", "see `pip install`")
        return Line(found, hashes, constraint, file, line.number)

    def _wrong(self, asked: Line | None, file: str, code: str, message: str) -> None:
        self.problems.append(
            asked.problem(code, message, "name a file of the project")
            if asked is not None
            else Problem(code, message, file, hint="name a file of the project")
        )
