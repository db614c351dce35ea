"""`bentod render`: the spec in the words of other systems. Nothing of the user's is imported, nothing is started."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from bentod.cli.options import add_files
from bentod.cli.project import chosen
from bentod.cli.render_options import FORMS, add, add_output, misplaced
from bentod.render.recipes import Unwritable
from bentod.spec.load import load
from bentod.whole import write_whole

_FILES = {
    "dockerfile": "render_dockerfile:dockerfile_files",
    "compose": "render_manifests:compose_files",
    "kubernetes": "render_manifests:kubernetes_files",
    "systemd": "render_systemd:systemd_files",
}
_BESIDE = (".dockerignore", "kustomization.yaml")
"""What means something only in a folder with the others."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    told = "; ".join(f"{form}: {text}" for form, text in FORMS.items())
    parser.add_argument("form", metavar="FORM", choices=tuple(FORMS), help=told)
    add_files(parser)
    add_output(parser)
    add(parser)


def run(args: argparse.Namespace) -> int:
    """0: written. 2: an option that is for another form. Raises SpecError, BadSetting, Unwritable."""
    if wrong := misplaced(args):
        print(f"bentod render {args.form}: {wrong}", file=sys.stderr)
        return 2
    module, _, name = _FILES[args.form].partition(":")
    made = getattr(importlib.import_module(f"bentod.cli.{module}"), name)
    texts: dict[str, str] = made(args, load(chosen(args), os.environ))
    if args.output is not None:
        try:
            _write(args.output, texts)
        except OSError as error:
            raise Unwritable(f"nothing can be written into {args.output}: {error.strerror}") from None
    else:
        _print(args.form, {name: text for name, text in texts.items() if name not in _BESIDE})
    return 0


def _print(form: str, texts: dict[str, str]) -> None:
    """One file as it is; several each below its name, manifests so that all of them can be read as one."""
    if len(texts) == 1:
        sys.stdout.write(*texts.values())
    else:
        between = "---\n" if form == "kubernetes" else "\n"
        sys.stdout.write(between.join(f"# {name}\n{text}" for name, text in texts.items()))


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Each file appears whole, or stays as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text.encode(), 0o644)
