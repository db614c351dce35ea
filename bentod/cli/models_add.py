"""`bentod models add`: a folder or file goes into the store."""

from __future__ import annotations

import argparse
import json
import platform
import re
from collections.abc import Sequence
from typing import Any

import bentod
from bentod.cli.models_words import Wrong, counting, files, store
from bentod.cli.progress import size
from bentod.models import digest, tags
from bentod.models.adding import Added, Source, add
from bentod.models.manifest import About, Context

_FRAMEWORK = re.compile(r"([A-Za-z0-9][-._A-Za-z0-9]*)(?:==([A-Za-z0-9][-._+!A-Za-z0-9]*))?")


def add_(args: argparse.Namespace) -> int:
    """0: it is in the store. Raises Wrong, ModelError."""
    tag, about = tags.parse(args.tag), _about(args)
    if not args.path.exists():
        raise Wrong(f"{args.path} does not exist; name the folder or file of the model")
    total = sum(file.size for file in digest.found(args.path))
    with counting(str(tag), total) as counted:
        done = add(store(), Source(args.path, move=args.move), tag, about, counted)
    print(told(done))
    return 0


def told(done: Added) -> str:
    """What has become of a model that was added or imported."""
    if not done.new:
        return f"{done.entry.tag} is in the store already"
    return f"{done.entry.tag} added: {size(done.entry.size)} in {files(done.entry.files)}, {done.entry.digest}"


def _about(args: argparse.Namespace) -> About:
    return About(
        labels=dict(_pair(text, "--label") for text in args.label),
        metadata={key: _value(value) for key, value in (_pair(text, "--metadata") for text in args.metadata)},
        context=_context(args.framework),
        signatures=dict(_signature(*_pair(text, "--signature")) for text in args.signature),
    )


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Wrong(f"{option} {text!r} has no form KEY=VALUE")
    return key, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _signature(method: str, text: str) -> tuple[str, dict[str, Any]]:
    value = _value(text)
    if not isinstance(value, dict):
        raise Wrong(f'--signature {method} is no object of JSON, such as {{"batchable": true}}')
    return method, value


def _context(frameworks: Sequence[str]) -> Context:
    """What the model was made with, as far as it was said, and this Python and bentod."""
    parts = [_FRAMEWORK.fullmatch(text) for text in frameworks]
    for text, part in zip(frameworks, parts, strict=True):
        if part is None:
            raise Wrong(f"--framework {text!r} has no form NAME==VERSION")
    found = [(part[1], part[2]) for part in parts if part]
    return Context(
        framework=found[0][0] if found else "",
        versions={name: version for name, version in found if version},
        python=platform.python_version(),
        bentod=bentod.__version__,
    )
