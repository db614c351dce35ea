"""Files → a complete Spec, or all that is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.errors import Problem, SpecError
from bentod.spec import check, check_build, complete, io_schemas, resolve, source, unsupported
from bentod.spec.examples import put
from bentod.spec.explain import settle
from bentod.spec.found import plain
from bentod.spec.keywords import rebased_folders
from bentod.spec.model import Spec
from bentod.spec.node import Node, Place, dotted, merge, places
from bentod.spec.project import Project
from bentod.spec.python_target import Finder
from bentod.spec.report import Report
from bentod.spec.written import written

NAMES = ("bentofile.yaml", "bentofile.yml", "bentofile.toml")


@dataclass(frozen=True)
class Loaded:
    """A spec with where it came from. `resolved` is plain data: merged, interpolated, with defaults, and with `@path`
    where the spec's examples hold what is in the file. `as_written` is merged only: it holds `${…}` and no secrets."""

    spec: Spec
    directory: Path
    files: tuple[Path, ...]
    origins: Mapping[str, Place]
    env_file_values: dict[str, str]
    resolved: dict[str, Any]
    as_written: dict[str, Any]
    env_files: tuple[Path, ...] = ()

    def environ(self, process: Mapping[str, str]) -> dict[str, str]:
        """What lies beneath the spec's `env` in a worker: the variables of `process`, and what only `env_files` say."""
        return {**self.env_file_values, **process}


def find(directory: Path) -> Path:
    """The bentofile in `directory`. Raises SpecError if there is none, or more than one."""
    found = [directory / name for name in NAMES if (directory / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"`{path.name}`" for path in found)
        problem = Problem(
            "ambiguous-spec", f"{names} are both in {directory.absolute()}", hint="say which with `-f FILE`"
        )
    else:
        names = ", ".join(f"`{name}`" for name in NAMES)
        problem = Problem(
            "no-spec",
            f"no bentofile in {directory.absolute()}",
            hint=f"expected one of {names}; `-f FILE` names one elsewhere, `bentod init` writes one",
        )
    raise SpecError([problem])


def load(
    files: Sequence[Path],
    environ: Mapping[str, str],
    held: Mapping[Path, bytes] | None = None,
    code: Path | None = None,
) -> Loaded:
    """The spec that `files` say together, merged left to right. Raises SpecError with every problem.

    `held` is what some of the files shall be taken to hold, by the same paths, whatever is there by now; `code` is a
    folder with the project's modules as they shall be taken to be.
    """
    root, problems = _merged(files, held or {})
    directory = resolve.absolute(files[0]).parent
    report = Report(root)
    for problem in problems:
        report.at_file(problem)
    data = resolve.without_extensions(root.plain())
    unsupported.take_out(data, report)
    env_values, env_files = resolve.env_files(data, root, directory, environ, report)
    data = resolve.interpolated(data, {**env_values, **environ}, directory, report)
    finder = Finder(code or directory)
    project = Project(directory, root)
    rebased_folders(data, project)
    meant = plain(data)
    for file in io_schemas.check(meant, project, report):
        put(data, file.path, file.value)
        put(meant, file.path, file.text)
    spec = complete.complete(settle(data, report), project, finder, report)
    check.check(spec, meant, finder, report)
    check_build.check(spec, project, report)
    if report.problems:
        raise SpecError(report.problems)
    origins = {dotted(path): place for path, place in places(root)}
    return Loaded(spec, directory, tuple(files), origins, env_values, written(spec, meant), root.plain(), env_files)


def _merged(files: Sequence[Path], held: Mapping[Path, bytes]) -> tuple[Node, list[Problem]]:
    roots: list[Node] = []
    problems: list[Problem] = []
    for file in files:
        root, found = source.read(file) if file not in held else source.parse(held[file], str(file))
        problems += found
        if root is not None:
            roots.append(root)
    if len(roots) < len(files):
        raise SpecError(problems)
    return functools.reduce(merge, roots), problems
