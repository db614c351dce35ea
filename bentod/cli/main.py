"""The command line: finds the verb, imports only its file, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

import bentod
from bentod.cli.options import add_files
from bentod.errors import BentodError, PlanError, SpecError, StartError, Unknown

VERBS: dict[str, str] = {
    "init": "write a new project that works at once",
    "validate": "say everything that is wrong with a spec",
    "config": "print the spec as it is understood",
    "schema": "print the JSON Schema of a spec",
    "up": "run the spec: daemon, gateways, workers",
    "status": "say what is running",
    "top": "show what the processes use, live: CPUs, memory, GPUs, calls",
    "health": "say whether the running daemon can take calls: exit code 0 or 1",
    "plan": "say what differs between the spec and what runs, and what applying it would do",
    "apply": "make the running daemon do what the spec says, without a pause",
    "history": "list the generations that ran, and the attempts that failed",
    "show": "print all that is recorded of one generation",
    "rollback": "go back to an earlier generation, its code included",
    "test": "say whether the APIs answer their examples as these say",
    "call": "call an API of the running daemon",
    "bench": "measure how many calls an API of the running daemon takes, and how long they last",
    "logs": "show what the daemon and the workers said",
    "events": "show what happened to the daemon and its processes",
    "upgrade": "replace the running daemon by the bentod that is installed now, without a pause",
    "inventory": "say what this host has for workers: CPUs, memory, GPUs and who computes on them",
    "lock": "write down what the spec leaves open: commits of models, versions and hashes of packages",
    "render": "write the spec as a Dockerfile, for Docker Compose, Kubernetes or systemd",
    "build-image": "build a container image that runs the spec",
    "models": "list, add, fetch, export, import, verify and remove the models of this host",
    "down": "stop the daemon, after the calls that it has",
}

_ELSEWHERE = {
    "build": "build-image", "containerize": "build-image", "log": "logs", "ps": "status", "run": "up", "serve": "up",
    "start": "up", "stop": "down",
}  # fmt: skip
"""What other tools call a verb."""

_ASKING = frozenset({"-h", "--help", "--version"})

FINE, BUG, BAD_SPEC, BAD_HOST, NOT_STARTED, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""The exit codes."""


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one verb. Returns the exit code; nothing is raised but what argparse raises for `--help`."""
    verb = _verb(arguments)
    try:
        module = importlib.import_module(f"bentod.cli.{verb.replace('-', '_')}") if verb in VERBS else None
        parser = _parser(verb, module)
        if verb and module is None and not _ASKING & set(arguments):
            parser.error(f"there is no verb {verb!r}; {_verb_meant(verb)}")
        args = _parsed(parser, arguments)
        if module is None:
            _parser("", None).print_help()
            return BAD_SPEC
        args.files = [*args.files_before, *getattr(args, "files", [])]
        return int(module.run(args))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FINE
    except BentodError as error:
        return _told(error)
    except Exception:  # noqa: BLE001 - the last place where a bug of ours can be told
        traceback.print_exc()
        print(f"bentod {bentod.__version__}: this is a bug of bentod's, please report it", file=sys.stderr)
        return BUG


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments. A verb's free `words` may come after options, too, which argparse cannot do before Python 3.13."""
    args, more = parser.parse_known_args(arguments)
    if more and (not hasattr(args, "words") or any(word.startswith("-") and word != "-" for word in more)):
        hint = "; the spec is named by `-f FILE`" if any(map(os.path.exists, more)) else ""
        parser.error(f"unrecognized arguments: {' '.join(more)}{hint}")
    if more:
        args.words = [*args.words, *more]
    return args


def _verb_meant(verb: str) -> str:
    from bentod.spec.found import did_you_mean  # only a mistake needs it

    known = _ELSEWHERE.get(verb)
    close = f"did you mean `{known}`?" if known else did_you_mean(verb, VERBS)
    return close or "`bentod --help` lists them"


def _verb(arguments: Sequence[str]) -> str:
    """The first word that is neither an option nor the file that belongs to one."""
    words = iter(arguments)
    for word in words:
        if word in {"-f", "--file"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _parser(verb: str, module: ModuleType | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bentod", description=bentod.__doc__)
    parser.add_argument("--version", action="version", version=f"bentod {bentod.__version__}")
    add_files(parser, dest="files_before")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")
    for name, text in VERBS.items():
        described = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == verb and module is not None:
            module.configure(described)
    return parser


def _told(error: BentodError) -> int:
    if isinstance(error, SpecError | PlanError):
        from bentod.cli.problems import show  # only what is wrong needs it

        print(show(error.problems, "text"), file=sys.stderr)
        return BAD_SPEC if isinstance(error, SpecError) else BAD_HOST
    print(f"bentod: {error}", file=sys.stderr)
    if isinstance(error, StartError) and error.traceback:
        print(error.traceback.rstrip(), file=sys.stderr)
    return NOT_STARTED if isinstance(error, StartError) else BAD_SPEC if isinstance(error, Unknown) else BAD_HOST
