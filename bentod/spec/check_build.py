"""What needs more than one value of `models` and `build` to judge."""

from __future__ import annotations

from bentod.spec.check_image import faults
from bentod.spec.model import Spec
from bentod.spec.model_build import Build
from bentod.spec.node import Path
from bentod.spec.project import PathError, Project
from bentod.spec.report import Report

_LARGEST_ID = 2**31 - 1
_OF_THE_HUB = ("revision", "include", "exclude", "endpoint")


def check(spec: Spec, project: Project, report: Report) -> None:
    """Report what is wrong with the models and the image as a whole."""
    for name, model in spec.models.items():
        for key in _OF_THE_HUB if not model.source.startswith("hf://") else ():
            if getattr(model, key):
                message = f"`{key}` is for models of Hugging Face, and this one is `{model.source}`"
                report.at_key(("models", name, key), "conflict", message, "remove it")
    _check_conda(spec.build, report)
    for index, words in enumerate(spec.build.run):
        if not words[0].strip() or words[0].startswith("-"):
            hint = 'such as `["python", "prepare.py"]`; there is no shell'
            report.at_value(("build", "run", index), "wrong-value", "a command begins with a program's name", hint)
    if spec.build.base_image:
        for key in sorted({"cuda", "conda", "distro"} & spec.build.model_fields_set):
            message = f"`base_image` says what the image is made from, so `{key}` has nothing to say"
            report.at_key(("build", key), "conflict", message, "keep one of the two")
    _check_user(spec.build, report)
    _check_files(spec.build, project, report)
    for path, fault in [one for one in faults(spec.build) if not report.broken(("build", one[0][0]))]:
        report.at_value(("build", *path), fault.code, str(fault), fault.hint)


def _check_conda(build: Build, report: Report) -> None:
    if build.conda is None:
        return
    if build.cuda:
        report.at_key(("build", "cuda"), "conflict", "`conda` brings its own CUDA", "keep one of the two")
    if not report.broken(("build", "conda")) and not (build.conda.environment or build.conda.dependencies):
        report.at_key(("build", "conda"), "missing-key", "`conda` says neither `environment` nor `dependencies`")
    if build.conda.environment and (build.conda.channels or build.conda.dependencies):
        message = "an `environment` file says all, so `channels` and `dependencies` have nothing to say"
        report.at_key(("build", "conda", "environment"), "conflict", message, "keep one of the two")


def _check_user(build: Build, report: Report) -> None:
    for number in (build.user or "").split(":"):
        if number and int(number) > _LARGEST_ID:
            report.at_value(
                ("build", "user"), "wrong-value", f"there is no user or group {number}", "at most 2147483647"
            )


def _check_files(build: Build, project: Project, report: Report) -> None:
    files: dict[Path, str | None] = {("build", "requirements"): build.requirements, ("build", "lock"): build.lock}
    if build.conda is not None:
        files["build", "conda", "environment"] = build.conda.environment
    for path, text in files.items():
        if not text:
            continue
        try:
            if not project.inside(text).is_file():
                report.at_value(path, "missing-file", f"`{text}` does not exist or is not a file")
        except PathError as error:
            report.at_value(path, error.code, error.message, error.hint)
