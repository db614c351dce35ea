"""`bentod models`: the store of models on this host, and what was fetched from a hub."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

from bentod.cli.options import add_files

_ACTIONS = {
    "list": ("models_show", "list the models of the store, and what was fetched from a hub"),
    "show": ("models_show", "print all that is known of one model"),
    "pull": ("models_pull", "fetch the models of the spec, or one of a hub, before they are needed"),
    "add": ("models_add", "copy a folder or file into the store"),
    "export": ("models_archive", "write a model of the store to an archive or a folder"),
    "import": ("models_archive", "take an exported model, or those of a BentoML store, into the store"),
    "verify": ("models_verify", "read every file of the models, and say whether they are what was added or fetched"),
    "rm": ("models_remove", "remove models from the store"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's actions and their options."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    options = {
        "list": _json,
        "show": _show,
        "pull": _pull,
        "add": _add,
        "export": _export,
        "import": _import,
        "verify": _verify,
        "rm": _remove,
    }
    for name, (_, text) in _ACTIONS.items():
        options[name](actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))


def run(args: argparse.Namespace) -> int:
    """0: done. 2: there is no such model. 3: it cannot be done. Raises BentodError."""
    module = importlib.import_module(f"bentod.cli.{_ACTIONS[args.action][0]}")
    action: Callable[[argparse.Namespace], int] = getattr(module, f"{args.action}_")
    return action(args)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="MODEL", help="NAME[:VERSION] of the store, or hf://ORG/NAME")
    _hub(parser)
    _json(parser)


def _pull(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument(
        "words", metavar="NAME", nargs="*", help="models of the spec (default: all of them), or hf://ORG/NAME"
    )
    _hub(parser)
    _json(parser)


def _hub(parser: argparse.ArgumentParser) -> None:
    """Options for a model of a hub that no spec describes."""
    parser.add_argument("--revision", help="of hf://…: the branch, tag or commit (default: main)")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="of hf://…: only such files")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="of hf://…: no such files")
    parser.add_argument("--endpoint", default="", metavar="URL", help="of hf://…: another hub")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tag", metavar="NAME[:VERSION]", help="without a version, it is the beginning of the model's digest"
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="a folder or file")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=TEXT", help="a label")
    parser.add_argument("--metadata", action="append", default=[], metavar="KEY=JSON", help="JSON, or else text")
    parser.add_argument("--signature", action="append", default=[], metavar="METHOD=JSON", help="an object of JSON")
    parser.add_argument(
        "--framework",
        action="append",
        default=[],
        metavar="NAME==VERSION",
        help="what the model was made with: the first is the framework, the others are what else matters",
    )
    parser.add_argument("--move", action="store_true", help="leave nothing at PATH, and copy only what must be copied")


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="NAME[:VERSION]")
    parser.add_argument("target", metavar="FILE", help="its end says how: .tar, .tar.gz, .tar.xz, or / for a folder")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", type=Path, help="an exported archive or folder")
    parser.add_argument("tag", metavar="NAME[:VERSION]", nargs="?", help="its tag here (default: its own)")
    parser.add_argument(
        "--bentoml", action="store_true", help="FILE is a model folder of BentoML, or a whole store of such"
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="MODEL", nargs="*", help="NAME[:VERSION] or hf://ORG/NAME (default: all)")


def _remove(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("words", metavar="MODEL", nargs="+", help="NAME[:VERSION], or hf://ORG/NAME")
    parser.add_argument("--force", action="store_true", help="even if the spec in this folder names it")
