"""`bentod models rm`: models leave the store, unless the spec of this folder names them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from bentod.cli.models_pull import of_spec
from bentod.cli.models_words import HUB, Wrong, home, hub_tag, means, store
from bentod.cli.progress import size
from bentod.errors import BentodError
from bentod.models import leftovers, tags
from bentod.models.home import ModelError
from bentod.models.records import Records
from bentod.models.store import Store
from bentod.models.tags import Tag


def rm_(args: argparse.Namespace) -> int:
    """0: removed. Raises NoSuchModel, and ModelError before anything was removed."""
    here = store()
    found = [_meant(here, word) for word in args.words if not word.startswith(HUB)]
    named = {} if args.force else _named(here, args)
    for tag in found:
        if tag in named:
            raise ModelError(f"{tag} is the model `{named[tag]}` of the spec here; `--force` removes it all the same")
    _forget([word for word in args.words if word.startswith(HUB)])
    for tag in dict.fromkeys(found):
        here.remove(tag)
        print(f"{tag} removed")
    return 0


def _meant(here: Store, word: str) -> Tag:
    """The whole tag. A name alone means its only version: what else it could mean is lost once it is removed."""
    tag = here.resolve(word)
    if tag is None:
        raise here.missing(word)
    versions = here.versions(tag.name)
    if ":" not in word.removeprefix("store://") and len(versions) > 1:
        shown = ", ".join(f"{tag.name}:{version}" for version in versions)
        raise Wrong(f"{tag.name} has {len(versions)} versions: {shown}; say which, or {tag.name}:{tags.LATEST}")
    return tag


def _named(here: Store, args: argparse.Namespace) -> Mapping[Tag, str]:
    """The models of the store that the spec in this folder names, if there is a spec that can be read."""
    try:
        models = of_spec(args)
    except BentodError:
        if args.files:
            raise
        return {}
    found: dict[Tag, str] = {}
    for model in models:
        if model.kind == "store":
            name = model.source.partition(":")[0]
            tag = here.resolve(f"{name}:{model.version}" if model.version else model.source)
            found |= {tag: model.name} if tag else {}
    return found


def _parts(source: str) -> int:
    """Remove what fetches of a repository have left that did not end. Returns how many bytes that were."""
    from huggingface_hub import constants  # it takes its time to import

    return leftovers.forget(Path(constants.HF_HUB_CACHE), source)


def _forget(words: list[str]) -> None:
    """Forget fetches. Their files are huggingface_hub's, and may be shared; but for what never came wholly. Raises
    Wrong."""
    records = Records(home())
    known = records.all()
    for word in words:
        meant = [one for one in known if means(word, one)]
        given_back = 0 if "@" in word else _parts(word.removeprefix(HUB))
        if given_back:
            print(f"{word}: {size(given_back)} of a fetch that did not end removed")
        elif not meant:
            raise Wrong(f"{word} was not fetched; `bentod models list` shows what was")
        for record in meant:
            records.remove(record)
            print(f"{hub_tag(record)} forgotten; its files stay in {record.folder}, `hf cache` removes them")
