"""`bentod models list` and `show`: what lies on this host, or what a hub would send."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bentod.cli.models_pull import from_hub
from bentod.cli.models_words import HUB, files, home, hub_tag, means, store, table
from bentod.cli.progress import size
from bentod.cli.when import ago, local
from bentod.models.entry import Entry
from bentod.models.progress import Listing
from bentod.models.records import Record, Records
from bentod.models.revisions import pinned

_HEAD = ("model", "", "size", "files", "since")
_RIGHT = frozenset({2, 3})


def list_(args: argparse.Namespace) -> int:
    """0: listed, whatever is damaged."""
    here, records = store(), Records(home())
    found, fetched = here.listing(), records.all()
    latest = {name: here.latest(name) for name in {one.name for one in found.entries}}
    damaged = [*found.damaged, *(f"{path} is no record of a fetch, or a damaged one" for path in records.damaged)]
    if args.json:
        models = [*(stored(one, latest[one.name]) for one in found.entries), *map(hub_model, fetched)]
        _print_json({"store": str(here.root), "models": models, "damaged": damaged})
        return 0
    rows = [_row(one, latest[one.name]) for one in found.entries] + [_hub_row(one) for one in fetched]
    if rows:
        print(table(_HEAD, rows, _RIGHT))
    else:
        print(f"no models in {here.root}, and none fetched from a hub", file=sys.stderr)
    for text in damaged:
        print(text, file=sys.stderr)
    return 0


def show_(args: argparse.Namespace) -> int:
    """0: shown. Raises NoSuchModel, ModelError."""
    if args.tag.startswith(HUB):
        return _show_hub(args)
    here = store()
    found = here.get(args.tag)
    about = stored(found, here.latest(found.name)) | {
        "signatures": found.manifest.signatures,
        "files_list": [file.model_dump() for file in found.manifest.files],
    }
    if args.json:
        _print_json(about)
    else:
        print("\n".join(_described(about)))
    return 0


def stored(found: Entry, latest: str) -> dict[str, Any]:
    """A model of the store as plain data."""
    about = found.manifest
    return {
        "kind": "store",
        "tag": str(found.tag),
        "latest": found.version == latest,
        "size": found.size,
        "files": found.files,
        "digest": found.digest,
        "created": about.created,
        "path": str(found.path),
        "labels": about.labels,
        "metadata": about.metadata,
        "context": about.context.model_dump(),
    }


def hub_model(record: Record) -> dict[str, Any]:
    """A fetch as plain data."""
    return {
        "kind": "hf",
        "tag": f"{HUB}{record.source}@{record.commit}",
        "size": record.size,
        "files": len(record.files),
        "digest": record.digest,
        "created": record.fetched,
        "path": record.folder,
        "revision": record.revision,
        "include": list(record.include),
        "exclude": list(record.exclude),
        "endpoint": record.endpoint,
    }


def _show_hub(args: argparse.Namespace) -> int:
    """What was fetched of it; if nothing was, the hub is asked what there would be."""
    wanted = from_hub(args.tag, args)
    commit = pinned(wanted)
    asked = args.include or args.exclude or args.endpoint or (args.revision and not commit)
    known = [] if asked else [one for one in Records(home()).all() if means(args.tag, one) and _at(one, commit)]
    about = [
        hub_model(one) | {"files_list": [file.model_dump(exclude={"mtime_ns"}) for file in one.files]} for one in known
    ] or [_offered(args.tag, _asked(args))]
    if args.json:
        _print_json(about)
    else:
        print("\n\n".join("\n".join(_described(one)) for one in about))
    return 0


def _asked(args: argparse.Namespace) -> Listing:
    from bentod.models.fetching import listing_now

    return listing_now(from_hub(args.tag, args), home(), os.environ)


def _at(record: Record, commit: str) -> bool:
    return not commit or record.commit == commit


def _offered(tag: str, listing: Listing) -> dict[str, Any]:
    return {
        "kind": "hf",
        "tag": f"{tag.partition('@')[0]}@{listing.commit}",
        "fetched": False,
        "size": listing.size,
        "files": len(listing.files),
        "files_list": [asdict(file) for file in listing.files],
    }


def _described(about: dict[str, Any]) -> Iterator[str]:
    """A line for each thing that is known, and one for each file."""
    listed = about["files_list"]
    for key, value in about.items():
        if key in {"kind", "files_list", "files"} or value in ({}, [], ""):
            continue
        shown = f"{size(value)} in {files(len(listed))} ({value} bytes)" if key == "size" else _said(key, value)
        yield f"{key + ':':<12}{shown}"
    for file in listed:
        yield f"  {size(file['size']):>9}  {file['path']}"


def _said(key: str, value: Any) -> str:
    if key == "created":
        return f"{local(value)} ({ago(value)})"
    if isinstance(value, dict):
        value = {inner: what for inner, what in value.items() if what not in ("", {})}
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(found: Entry, latest: str) -> tuple[str, ...]:
    mark = "latest" if found.version == latest else ""
    return str(found.tag), mark, size(found.size), str(found.files), ago(found.manifest.created)


def _hub_row(record: Record) -> tuple[str, ...]:
    return hub_tag(record), record.revision, size(record.size), str(len(record.files)), ago(record.fetched)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
