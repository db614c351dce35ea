"""`bentod init`: a new project that works at once: a spec, a module, a test."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import unicodedata
from pathlib import Path

import jinja2
import yaml

from bentod.shipped import shipped

_FILES = {
    "bentofile.yaml": "bentofile.yaml.j2",
    "model.py": "model.py.j2",
    "test_model.py": "test_model.py.j2",
    ".gitignore": "gitignore.j2",
}
_OTHER_SPECS = ("bentofile.yml", "bentofile.toml")  # beside bentofile.yaml, `bentod up` could not choose
_CALL = """curl http://127.0.0.1:3000/predict -H 'content-type: application/json' -d '{"text": "What a great day!"}'"""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class _RefusedError(Exception):
    """Nothing was written; the text says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: this folder")
    parser.add_argument("--name", help="the application's name; default: made from the folder's")


def run(args: argparse.Namespace) -> int:
    """0: written. 2: nothing written, because something is in the way or there is no usable name."""
    folder: Path = args.folder
    try:
        name = _checked(args.name) if args.name is not None else _name_of(folder)
        texts = _render(name, _wanted(folder))
        _write(folder, texts)
    except (_RefusedError, OSError) as error:
        print(f"bentod init: {error}", file=sys.stderr)
        return 2
    print(_report(folder, name, list(texts)))
    return 0


def _checked(name: str) -> str:
    if _LABEL.fullmatch(name):
        return name
    raise _RefusedError(
        f"the name {name!r} is no DNS label: up to 63 of a-z, 0-9 and '-', neither first nor last a '-'"
        + (f"; {_label(name)!r} is one" if _label(name) else "")
    )


def _name_of(folder: Path) -> str:
    name = _label(folder.resolve().name)
    if not name:
        raise _RefusedError(f"no name can be made from the folder {str(folder.resolve())!r}: give one with --name")
    return name


def _label(text: str) -> str:
    """`text` as a DNS label, as near as possible; empty if no letter and no digit is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:63].rstrip("-")


def _wanted(folder: Path) -> list[str]:
    """The files to write. A .gitignore that is there already stays; anything else that is there is in the way."""
    if folder.exists() and not folder.is_dir():
        raise _RefusedError(f"{folder} is no folder")
    clashes = [name for name in (*_FILES, *_OTHER_SPECS) if name != ".gitignore" and os.path.lexists(folder / name)]
    if clashes:
        raise _RefusedError(
            f"nothing was written, because {folder.resolve()} already has\n  " + "\n  ".join(sorted(clashes))
        )
    return [name for name in _FILES if not os.path.lexists(folder / name)]


def _render(name: str, files: list[str]) -> dict[str, str]:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("recipes/init")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML and Python, not HTML
    )
    values = {"name": name if yaml.safe_load(name) == name else json.dumps(name)}  # 007 would be a number, no a boolean
    return {file: templates.get_template(_FILES[file]).render(values) for file in files}


def _write(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        with (folder / file).open("x", encoding="utf-8") as stream:
            stream.write(text)


def _report(folder: Path, name: str, files: list[str]) -> str:
    lines = [f"{name} is ready in {folder.resolve()}:", *(f"  {file}" for file in files)]
    if ".gitignore" not in files and not _ignores_state(folder / ".gitignore"):
        lines.append("Your .gitignore was left as it is: add the line .bentod/ to it.")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    lines += ["Next, serve it, and call it from another terminal:", f"  {enter}bentod up", f"  {_CALL}"]
    return "\n".join(lines)


def _ignores_state(gitignore: Path) -> bool:
    lines = gitignore.read_text(encoding="utf-8", errors="replace").splitlines() if gitignore.is_file() else []
    return any(line.strip().strip("/") == ".bentod" for line in lines)
