"""Which of a project's files an image holds: what git tracks, or what patterns say, and what the spec needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentod.errors import Problem
from bentod.image.ignoring import NAME, Ignores, Patterns
from bentod.image.junk import is_junk_file, listed, may_be_secret, printable
from bentod.image.walk import ProjectFile, Refused, Seen, Tree
from bentod.spec.patterns import UnusablePattern

MOST_FILES = 200_000
LARGE = 100 * 1024 * 1024
"""What is larger is told by name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. Paths are from the project's folder.

    `tracked` is what git tracks, None if git does not say. `needed` are files that are always taken: the spec's own,
    and those that targets import. `withheld` are files that never are, such as those with secrets; `apart` are folders
    and files that reach the image by another way; of them only what is needed is taken.
    """

    project: Path
    tracked: tuple[str, ...] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    needed: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files, sorted by path. `notes` are what a person should know, `problems` what must be put right first."""

    files: tuple[ProjectFile, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass
class _Choice:
    withheld: frozenset[Path]
    files: dict[str, ProjectFile] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose(wanted: Wanted) -> Chosen:
    """The files of the image. Nothing is written, and no file is read but `.bentoignore`."""
    choice = _Choice(frozenset((wanted.project / name).resolve() for name in wanted.withheld))
    try:
        include, exclude = _patterns(wanted.include, "include"), _patterns(wanted.exclude, "exclude")
    except _BadPattern as error:
        return Chosen((), (), (error.problem,))
    tree, ignores = Tree(wanted.project), Ignores(wanted.project)
    for seen in _candidates(tree, wanted, include):
        left_out = exclude.leave_out(seen.path) or ignores.match(seen.path) or _is_in(seen.path, wanted.apart)
        if not left_out:
            _take(seen, wanted, choice)
        if len(choice.files) > MOST_FILES:
            return Chosen((), (), (_too_many(choice),))
    _take_needed(tree, wanted, choice)
    choice.problems += [*ignores.problems, *(_unmatched(place, line) for place, line in include.unused())]
    _note(wanted, choice)
    return Chosen(
        tuple(choice.files[path] for path in sorted(choice.files)), tuple(choice.notes), tuple(choice.problems)
    )


class _BadPattern(UnusablePattern):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _patterns(lines: Sequence[str], key: str) -> Patterns:
    try:
        return Patterns(lines)
    except UnusablePattern as error:
        raise _BadPattern(Problem("bad-pattern", str(error), path=f"build.{key}")) from None


def _candidates(tree: Tree, wanted: Wanted, include: Patterns) -> Iterator[Seen]:
    if wanted.include:
        yield from (seen for seen in tree.all() if include.match(seen.path))
    elif wanted.tracked is not None:
        yield from _tracked(tree, wanted.project, wanted.tracked)
    else:
        yield from (seen for seen in tree.all() if not is_junk_file(seen.path.rpartition("/")[2]))


def _tracked(tree: Tree, project: Path, names: Sequence[str]) -> Iterator[Seen]:
    """What git tracks; of a folder that a link leads to, what git tracks there."""
    top, known = project.resolve(), frozenset(names)
    for name in names:
        if tree.is_never(name, tracked=True):
            continue
        for seen in tree.look(name):
            if isinstance(seen, Refused) or seen.path == name or seen.source.relative_to(top).as_posix() in known:
                yield seen


def _take(seen: Seen, wanted: Wanted, choice: _Choice) -> None:
    if seen.path in wanted.withheld:
        return
    if isinstance(seen, Refused):
        choice.problems.append(_refusal(seen))
    elif seen.source in choice.withheld:
        refused = Refused(seen.path, "escaping-link", f"leads to {seen.source}, which is left out of the image")
        choice.problems.append(_refusal(refused))
    else:
        choice.files[seen.path] = seen


def _is_in(path: str, folders: frozenset[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _take_needed(tree: Tree, wanted: Wanted, choice: _Choice) -> None:
    added = []
    for name in sorted(wanted.needed - set(choice.files)):
        found = tree.look(name)
        if not found:
            problem = Problem("missing-file", f"`{printable(name)}` is needed and is not in the project")
            choice.problems.append(problem)
        for seen in found:
            _take(seen, wanted, choice)
            added += [seen.path] * (seen.path in choice.files)
    if added:
        why = "the spec needs them" if len(added) > 1 else "the spec needs it"
        choice.notes.append(f"{listed(added)} would be left out, but {why}, so the image has {_them(added)}")


def _them(names: Sequence[str]) -> str:
    return "them" if len(names) > 1 else "it"


def _note(wanted: Wanted, choice: _Choice) -> None:
    for file in sorted(choice.files.values(), key=lambda file: file.path):
        if file.size > LARGE:
            choice.notes.append(f"`{file.path}` is large: {file.size / 1024**2:,.0f} MiB")
    if secrets := [path for path in sorted(choice.files) if may_be_secret(path.rpartition("/")[2])]:
        why = "in the image, and may hold secrets; `build.exclude` leaves files out"
        choice.notes.append(f"{listed(secrets)}: {why}")
    if not wanted.include and wanted.tracked is None:
        choice.notes.append("git does not say what belongs to the project, so all of its files are taken but junk")


def _refusal(seen: Refused) -> Problem:
    hint = "leave it out: `build.exclude`, or a line in `" + NAME + "`"
    if seen.code == "escaping-link":
        hint = f"put the file itself into the project, or {hint}"
    return Problem(seen.code, f"`{printable(seen.path)}` {printable(_sentence(seen))}", hint=hint)


def _sentence(seen: Refused) -> str:
    return f"cannot be part of an image: {seen.reason}" if seen.code == "bad-name" else seen.reason


def _unmatched(place: int, line: str) -> Problem:
    hint = "patterns are as in a .gitignore, from the project's folder; caches and virtual environments never count"
    return Problem("no-match", f"`{printable(line)}` means no file", path=f"build.include[{place}]", hint=hint)


def _too_many(choice: _Choice) -> Problem:
    tops: dict[str, int] = {}
    for path in choice.files:
        tops[path.partition("/")[0]] = tops.get(path.partition("/")[0], 0) + 1
    top = max(tops, key=lambda name: tops[name])
    message = f"the image would hold more than {MOST_FILES:,} files of the project, most of them in `{printable(top)}`"
    return Problem("too-many-files", message, path="build", hint="leave some out with `build.exclude`")
