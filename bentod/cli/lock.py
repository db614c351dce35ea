"""`bentod lock`: writes down what the spec leaves open, so that it is the same everywhere and tomorrow."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from bentod.cli.lock_files import write
from bentod.cli.lock_models import locked_models
from bentod.cli.options import add_files
from bentod.cli.project import chosen
from bentod.daemon.drifted import base_of, drifted
from bentod.errors import SpecError
from bentod.lock.apis import api_digests
from bentod.lock.changes import changes
from bentod.lock.file import LockedImage, LockFile, lock_path, made_by_bentod, read, written
from bentod.spec.load import Loaded, load


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; 2 if something differs from the lock file")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything, not what is locked")
    parser.add_argument("--no-python", action="store_true", help="leave the Python packages as they are locked")
    parser.add_argument("--offline", action="store_true", help="ask nobody: what is not known here is an error")
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="limit for resolving packages (600)"
    )


def run(args: argparse.Namespace) -> int:
    """0: written, or nothing changed. Raises SpecError (`--check`: if something differs), ModelError, Unresolvable."""
    loaded = load(chosen(args), os.environ)
    path = lock_path(loaded.files[0])
    if args.check:
        if problems := drifted(loaded, os.environ):
            raise SpecError(problems)
        print(f"{path.name} says what the spec says")
        return 0
    old = _old(path)
    new, notes, more = _new(args, loaded, old, path)
    for note in notes:
        print(f"note: {note}")
    told = [*changes(old, new), *more]
    text = written(new).encode()
    if path.is_file() and path.read_bytes() == text and not more:
        print(f"{path.name} is unchanged")
        return 0
    write(path, text)
    print("\n".join([*told, f"{path.name} is written"]))
    return 0


def _old(path: Path) -> LockFile:
    """The lock file so far. One that is damaged is made anew, if it is one of ours at all. Raises SpecError."""
    try:
        return read(path) or LockFile(file=str(path))
    except SpecError:
        if made_by_bentod(path):
            return LockFile(file=str(path))
        raise


def _new(args: argparse.Namespace, loaded: Loaded, old: LockFile, path: Path) -> tuple[LockFile, list[str], list[str]]:
    """The lock file as it is to be, notes on what is left out, and which packages changed."""
    models, notes = locked_models(loaded, old, os.environ, upgrade=args.upgrade, offline=args.offline)
    image, unknown = _image(loaded, old, upgrade=args.upgrade)
    new = replace(LockFile(api_digests(loaded.spec), models, old.python, image), file=str(path))
    if args.no_python:
        return new, [*notes, *unknown], []
    from bentod.cli.lock_python import locked_python  # few specs need it, and it takes its time to import

    python, more = locked_python(args, loaded, old)
    return replace(new, python=python), [*notes, *unknown], more


def _image(loaded: Loaded, old: LockFile, *, upgrade: bool) -> tuple[LockedImage | None, list[str]]:
    """What the image is made from, with its digest, or why that is left out. Raises SpecError."""
    base = base_of(loaded)
    if not base:
        return None, []
    name = base.partition("@")[0]
    kept = old.image.digest if old.image is not None and old.image.base == name and not upgrade else ""
    from bentod.lock.base_image import digest_of

    digest = base.partition("@")[2] or kept or digest_of(base, os.environ)
    if digest:
        return LockedImage(name, digest), []
    return None, [f"the digest of {name} is left out: no Docker engine here has pulled it; say it with `base_image`"]
