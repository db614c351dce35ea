"""`bentod models export` and `import`: from one store to another, and out of BentoML's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bentod.cli.models_add import told
from bentod.cli.models_words import Wrong, counting, store
from bentod.cli.progress import size
from bentod.models import archive, bentoml, tags, unpacking
from bentod.models.home import ModelError
from bentod.models.store import Store
from bentod.models.tags import Tag


def export_(args: argparse.Namespace) -> int:
    """0: written. Raises NoSuchModel, ModelError."""
    found = store().get(args.tag)
    with counting(str(found.tag), found.size) as counted:
        path = archive.export(found, args.target, counted)
    print(f"{found.tag} exported: {path}" + (f", {size(path.stat().st_size)}" if path.is_file() else ""))
    return 0


def import_(args: argparse.Namespace) -> int:
    """0: it is in the store. Raises ModelError."""
    tag = tags.parse(args.tag) if args.tag else None
    if not args.source.exists():
        raise Wrong(f"{args.source} does not exist; name an exported model")
    if args.bentoml:
        return _bentoml(store(), args.source, tag)
    if (args.source / bentoml.DESCRIPTION).is_file():
        raise Wrong(f"{args.source} is a model folder of BentoML; import it with --bentoml")
    with counting(args.source.name, _size(args.source)) as counted:
        print(told(unpacking.unpack(store(), args.source, tag, counted)))
    return 0


def _bentoml(here: Store, source: Path, tag: Tag | None) -> int:
    """All models are tried, whatever is wrong with one of them. Raises ModelError after that."""
    folders = bentoml.folders(source)
    if tag is not None and len(folders) > 1:
        raise Wrong(f"{source} holds {len(folders)} models, which cannot all be {tag}; name one model's folder")
    failed = 0
    for folder in folders:
        try:
            model = bentoml.describe(folder)
            with counting(str(model.tag), _size(folder)) as counted:
                print(told(bentoml.take(here, model, tag, counted)))
        except ModelError as error:
            if len(folders) == 1:
                raise
            failed += 1
            print(f"bentod: {error}", file=sys.stderr)
            continue
        if model.pickled:
            print(f"{model.tag}: {bentoml.PICKLE} is kept as a file, and was not unpickled", file=sys.stderr)
    if failed:
        raise ModelError(f"{failed} of {len(folders)} models could not be imported")
    return 0


def _size(path: Path) -> int:
    """About how much there is to read."""
    return sum(one.lstat().st_size for one in path.rglob("*")) if path.is_dir() else path.stat().st_size
