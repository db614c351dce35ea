"""`bentod models pull`: the models of a spec, or one of a hub, are fetched before anything needs them."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bentod.cli.models_words import HUB, Wrong, home, table
from bentod.cli.progress import ProgressLines, size
from bentod.plan.models import Located, ModelPlan

_SOURCE = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]*/[A-Za-z0-9][-._A-Za-z0-9]*")
_ENDPOINT = re.compile(r"https?://[^\s@\"'\\]+")  # it is written down, so that it holds no credentials
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HEAD = ("model", "size", "files", "pinned to", "path")


def pull_(args: argparse.Namespace) -> int:
    """0: all of them lie on this host. Raises SpecError, Wrong for a name that the spec does not have, ModelError."""
    from bentod.models.fetching import fetch_now

    models = _wanted(args)
    shown = ProgressLines(sys.stderr, sys.stderr.isatty())
    try:
        found = fetch_now(models, home(), os.environ, shown)
    finally:
        shown.close()
    if args.json:
        print(json.dumps([_plain(one) for one in found.values()], indent=2, ensure_ascii=False))
    elif found:
        print(table(_HEAD, [_row(one) for one in found.values()], frozenset({1, 2})))
    else:
        print("the spec has no models", file=sys.stderr)
    return 0


def from_hub(word: str, args: argparse.Namespace) -> ModelPlan:
    """The model `hf://ORG/NAME`, maybe with `@` and a revision, as the options describe it. Raises Wrong."""
    source, at, revision = word.removeprefix(HUB).partition("@")
    if not _SOURCE.fullmatch(source) or ".." in source or (at and (args.revision or not revision)):
        raise Wrong(f"{word!r} names no model of a hub: write hf://ORG/NAME, and `--revision` for another than main")
    if args.endpoint and not _ENDPOINT.fullmatch(args.endpoint):
        raise Wrong("--endpoint is not a hub's URL, such as https://hub.example.com; a token is given by HF_TOKEN")
    revision = args.revision or revision or "main"
    commit = revision if _COMMIT.fullmatch(revision) else ""
    include, exclude = tuple(args.include), tuple(args.exclude)
    return ModelPlan(source, "hf", source, revision, include, exclude, args.endpoint, commit=commit)


def _wanted(args: argparse.Namespace) -> Sequence[ModelPlan]:
    direct = [word for word in args.words if word.startswith(HUB)]
    if direct:
        if direct != args.words:
            raise Wrong("name either models of the spec or models of a hub, not both at once")
        return [from_hub(word, args) for word in direct]
    if args.revision or args.include or args.exclude or args.endpoint:
        raise Wrong("the spec says which revision and files its models have; these options are for hf://ORG/NAME")
    declared = of_spec(args)
    unknown = [word for word in args.words if word not in {model.name for model in declared}]
    if unknown:
        there = ", ".join(model.name for model in declared) or "none"
        raise Wrong(f"the spec has no model {unknown[0]!r}; its models: {there}")
    return [model for model in declared if not args.words or model.name in args.words]


def of_spec(args: argparse.Namespace) -> Sequence[ModelPlan]:
    """The models of the spec, pinned to what its lock file says. Raises SpecError."""
    from bentod.cli.project import chosen
    from bentod.lock.file import lock_path, read
    from bentod.lock.pin import pinned
    from bentod.plan.models import planned
    from bentod.spec.load import load

    files = chosen(args)
    return pinned(planned(load(files, os.environ).spec), read(lock_path(files[0])))


def _plain(one: Located) -> dict[str, object]:
    return {
        "name": one.name,
        "commit": one.commit,
        "version": one.version,
        "digest": one.digest,
        "size": one.size,
        "files": one.files,
        "path": one.path,
    }


def _row(one: Located) -> tuple[str, ...]:
    short = (one.commit or one.version or one.digest)[: len("sha256:") + 12]
    return one.name, size(one.size), str(one.files), short, str(Path(one.path))
