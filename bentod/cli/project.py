"""What most verbs begin with: which spec is meant, and where its daemon keeps what."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bentod.daemon import folders
from bentod.daemon.folders import Folders
from bentod.settings import Settings, read
from bentod.spec import load


def chosen(args: argparse.Namespace) -> list[Path]:
    """The files of `-f`, or the one in the current folder. Raises SpecError."""
    return [path.absolute() for path in args.files] or [load.find(Path.cwd())]


def loaded(args: argparse.Namespace) -> tuple[load.Loaded, Folders, Settings]:
    """The spec and its folders, for verbs about the file. Raises SpecError, BadSetting, UnusableFolder."""
    found = load.load(chosen(args), os.environ)
    settings = read()
    where = folders.folders(found.spec.name, found.files[0], os.environ, settings.run, settings.state)
    return found, where, settings


def located(args: argparse.Namespace) -> Folders:
    """The folders of the spec's daemon, for verbs about what runs. Raises SpecError if no spec is there, BadSetting."""
    settings = read()
    return folders.located(chosen(args)[0], os.environ, settings.run, settings.state)
