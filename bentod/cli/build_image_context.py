"""What `bentod build-image` gives to an engine: the project's files, the models, bentod itself, the Dockerfile."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.cli.image_plan import placed, planned
from bentod.daemon import git
from bentod.daemon.weights import Weights, weights
from bentod.errors import Problem, SpecError
from bentod.image import context as contexts
from bentod.image import report, wheel
from bentod.image import weights as baking
from bentod.image.context import Context, ContextError, Entry
from bentod.image.dockerfile import unknown
from bentod.image.files import Chosen, Wanted, choose
from bentod.image.junk import listed
from bentod.lock.file import lock_path
from bentod.models.home import default_home
from bentod.plan import models
from bentod.plan.image import ENVIRONMENT, REQUIREMENTS, SOURCE, WHEELS, ImagePlan
from bentod.plan.models import ModelPlan
from bentod.render.dockerfile import dockerfile, dockerignore
from bentod.render.recipes import Unwritable
from bentod.spec.imports import imported
from bentod.spec.load import Loaded

_GIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Examined:
    """All that can be told without an engine and without network. `baked` are the models that the image gets."""

    image: ImagePlan
    dockerfile: str
    dockerignore: str
    chosen: Chosen
    weights: Weights
    baked: tuple[ModelPlan, ...]
    env_files: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def examined(
    loaded: Loaded, environ: Mapping[str, str], *, syntax: bool, given: Iterable[Problem], secrets: Iterable[Path] = ()
) -> Examined:
    """Look at everything. `secrets` are files with those of the build. Raises SpecError with all that is wrong, `given`
    included."""
    problems = list(given)
    image, texts = None, ("", "")
    try:
        image = planned(loaded, environ).image
        texts = (dockerfile(image, syntax=syntax), dockerignore(image))
        problems += [
            Problem("bug", f"the Dockerfile has a line that is no instruction: {line}") for line in unknown(texts[0])
        ]
    except SpecError as error:
        problems += error.problems
    except Unwritable as error:
        problems.append(Problem("unwritable", f"no Dockerfile can say this: {error}", str(loaded.files[0])))
    found, baked = _weights(loaded, environ, problems)
    withheld = _withheld(loaded, problems)
    notes = list(_notes_of_env_files(withheld))
    if keys := sorted({name for file in secrets if (name := _beneath(file, loaded.directory))}):
        notes.append(f"{listed(keys)}: not in the image, since secrets are read from there")
    kept = frozenset((*withheld, *keys))
    problems += _baked_secrets(baked, loaded, kept)
    chosen = _chosen(loaded, environ, baked, kept, notes)
    problems += [placed(one, loaded) for one in chosen.problems]
    if problems or image is None:
        raise SpecError(tuple(dict.fromkeys(problems)))
    return Examined(image, *texts, chosen, found, baked, withheld, (*notes, *chosen.notes))


def made(found: Examined, loaded: Loaded, environ: Mapping[str, str]) -> Context:
    """The build context; of the models those that lie on this host. Raises ContextError, ModelError, Unpackable."""
    here = [model for model in found.baked if model.name in found.weights.located]
    pinned = {model.name: model for model in found.weights.pinned}
    baked = baking.Weights((), ())
    if here:
        baked = baking.entries((pinned[model.name] for model in here), found.weights.located, default_home(environ))
    return contexts.made((*_texts(found, loaded), *_project(found), *baked.entries), baked.known)


def sources(found: Examined, context: Context) -> report.Sources:
    """What the report says of it."""
    own = [entry for entry in context.entries if entry.path.startswith(f"{SOURCE}/")]
    located = found.weights.located
    return report.Sources(
        digest=contexts.digest(context),
        size=context.size,
        files=len(context.entries),
        project_size=sum(entry.size for entry in own),
        project_files=len(own),
        models=tuple(
            report.Model(one.name, one.uri, located[one.name].digest, located[one.name].size, located[one.name].files)
            for one in found.baked
            if one.name in located
        ),
        packages=report.packages(found.image.requirements),
        locked=found.image.locked,
    )


def _texts(found: Examined, loaded: Loaded) -> Iterator[Entry]:
    yield contexts.text("Dockerfile", found.dockerfile)
    yield contexts.text(".dockerignore", found.dockerignore)
    yield contexts.text(REQUIREMENTS, "".join(f"{line}\n" for line in found.image.requirements))
    packed = wheel.pack()
    yield contexts.held(f"{WHEELS}/{packed.name}", packed.data)
    conda = loaded.spec.build.conda
    if conda is not None and conda.environment:
        yield contexts.held(ENVIRONMENT, (loaded.directory / conda.environment).read_bytes())


def _project(found: Examined) -> Iterator[Entry]:
    for file in found.chosen.files:
        mode = contexts.PROGRAM if file.executable else contexts.FILE
        yield Entry(f"{SOURCE}/{file.path}", file.source, file.size, mode)
    for path, names in found.env_files.items():
        said = f"# Left out of the image, since it may hold secrets. Variables: {', '.join(names) or 'none'}.\n"
        yield contexts.text(f"{SOURCE}/{path}", said)


def _chosen(
    loaded: Loaded, environ: Mapping[str, str], baked: tuple[ModelPlan, ...], withheld: frozenset[str], notes: list[str]
) -> Chosen:
    build, project = loaded.spec.build, loaded.directory
    known = None if build.include else tracked(project, environ)
    wanted = Wanted(
        project=project,
        tracked=known,
        include=build.include,
        exclude=build.exclude,
        needed=_needed(loaded) - withheld,
        withheld=withheld,
        apart=frozenset(_inside(model.source, project) for model in baked if model.kind == "path") - {""},
    )
    chosen = choose(wanted)
    if known is not None:
        taken = {file.path for file in chosen.files}
        new = [name for name in untracked(project, environ) if name not in taken and name not in withheld]
        if new:
            notes.append(f"{listed(new)}: not in the image, since git does not track it; `git add` or `build.include`")
    return chosen


def tracked(project: Path, environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """What git tracks in the project; None if it is in no repository. Raises ContextError if git cannot say."""
    try:
        said = git.run(project, environ, "ls-files", "-z", "--recurse-submodules", "--", ".", limit_s=_GIT_S)
    except git.GitError as error:
        if any((folder / ".git").exists() for folder in (project, *project.parents)):
            hint = "name them in `build.include`, or mend that"
            raise ContextError(f"git does not say which files belong to the project: {error}; {hint}") from None
        return None
    return _names(said)


def untracked(project: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What git neither tracks nor ignores. Raises GitError."""
    words = ("ls-files", "-z", "--others", "--exclude-standard", "--", ".", ":(exclude).bentod")
    return _names(git.run(project, environ, *words, limit_s=_GIT_S))


def _names(said: bytes) -> tuple[str, ...]:
    return tuple(sorted(name for name in set(said.decode("utf-8", "surrogateescape").split("\0")) if name))


def _needed(loaded: Loaded) -> frozenset[str]:
    """What a daemon reads before it serves: the spec and what that names, and the modules of its targets."""
    build, project = loaded.spec.build, loaded.directory
    named = {os.path.relpath(file, project) for file in loaded.files}
    named |= {name for name in (build.requirements, build.lock, build.conda and build.conda.environment) if name}
    lock = lock_path(loaded.files[0])
    named |= {os.path.relpath(lock, project)} if lock.is_file() else set()
    named |= set(_examples(loaded))
    for service in loaded.spec.services.values():
        named |= imported(service.target, project)
    return frozenset(named)


def _examples(loaded: Loaded) -> Iterator[str]:
    """The files that examples name as `@path`."""
    for api in loaded.resolved["apis"].values():
        for example in api.get("examples", ()):
            for text in _strings([example.get("input"), example.get("output")]):
                if text.startswith("@") and "\0" not in text and (loaded.directory / text[1:]).is_file():
                    yield os.path.normpath(text[1:])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _withheld(loaded: Loaded, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """The env_files, which may hold secrets, with the variables that only they say."""
    found = {}
    for file in loaded.env_files:
        name = _inside(str(file), loaded.directory)
        if not name:
            hint = "an image has an empty file in its place, so put it into the project"
            problem = Problem("outside-project", f"`{file}` lies outside the project", path="env_files", hint=hint)
            problems.append(placed(problem, loaded))
        else:
            found[name] = tuple(sorted(loaded.env_file_values))
    return found


def _notes_of_env_files(withheld: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if withheld:
        names = sorted({name for names in withheld.values() for name in names})
        yield (
            f"{listed(list(withheld))} may hold secrets: the image has an empty file in its place. Give the container "
            f"the variables that it said: {', '.join(names) or 'none'}"
        )


def _weights(
    loaded: Loaded, environ: Mapping[str, str], problems: list[Problem]
) -> tuple[Weights, tuple[ModelPlan, ...]]:
    """Where the models lie, and which of them go into the image."""
    declared = models.planned(loaded.spec)
    if loaded.spec.build.models != "bake" or not declared:
        return Weights(), ()
    try:
        found = weights(declared, lock_path(loaded.files[0]), (), environ)
    except SpecError:
        return Weights(), ()  # told with the plan
    for name, missing in found.missing.items():
        if not missing.fetchable:
            problem = Problem("missing-model", f"the model cannot be baked: {missing.reason}", path=f"models.{name}")
            problems.append(placed(problem, loaded))
    return found, found.declared


def _baked_secrets(baked: Iterable[ModelPlan], loaded: Loaded, kept: Iterable[str]) -> Iterator[Problem]:
    """What must not reach the image must not lie in the folder of a model either."""
    hint = "give the model a folder of its own"
    for model in (model for model in baked if model.kind == "path"):
        names = {".": "the project itself", **{name: f"`{name}`" for name in sorted(kept)}}
        folder = os.path.realpath(model.source)
        found = [
            said
            for name, said in names.items()
            if Path(os.path.realpath(loaded.directory / name)).is_relative_to(folder)
        ]
        if found:
            message = f"a model is baked with all that its folder holds, and that is also {found[0]}"
            yield placed(Problem("baked-secret", message, path=f"models.{model.name}", hint=hint), loaded)


def _beneath(file: Path, project: Path) -> str:
    """A file as one from the project's folder, whatever links lead to either; "" if it is not in it."""
    return _inside(os.path.realpath(file), Path(os.path.realpath(project)))


def _inside(path: str, project: Path) -> str:
    """A path as one from the project's folder; "" if it is not in it."""
    name = os.path.relpath(path, project)
    return "" if name.startswith("..") or name == "." else Path(name).as_posix()
