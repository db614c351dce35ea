"""`bentod models verify`: every file is read, and compared with what was added or fetched."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bentod.cli.models_words import HUB, Wrong, counting, home, hub_tag, means, store
from bentod.models import digest
from bentod.models.digest import Found
from bentod.models.home import ModelError
from bentod.models.records import Fetched, Record, Records
from bentod.models.store import Store
from bentod.models.tags import Tag

_BAD = 3


def verify_(args: argparse.Namespace) -> int:
    """0: all are as they were. 3: some are not. Raises NoSuchModel, ModelError for a tag that is none."""
    here, records = store(), Records(home())
    tags, fetched = _tags(here, args.words), _fetched(records, args.words)
    bad = 0
    for name, wrong in (*_verified(here, tags), *_verified_fetches(fetched)):
        bad += bool(wrong)
        print(f"{name}: {'damaged' if wrong else 'fine'}")
        for text in wrong:
            print(f"    {text}")
    for path in () if args.words else records.damaged:
        bad += 1
        print(f"{path}: damaged; remove it, then pull again")
    if not tags and not fetched and not bad:
        print("there are no models", file=sys.stderr)
    return _BAD if bad else 0


def _tags(here: Store, words: Sequence[str]) -> list[Tag]:
    """The models of the store that are meant, maybe damaged ones."""
    if not words:
        return [Tag(name, version) for name in here.names() for version in here.versions(name)]
    found = []
    for word in words:
        if not word.startswith(HUB):
            tag = here.resolve(word)
            if tag is None:
                raise here.missing(word)
            found.append(tag)
    return found


def _fetched(records: Records, words: Sequence[str]) -> list[Record]:
    known = records.all()
    for word in words:
        if word.startswith(HUB) and not any(means(word, one) for one in known):
            raise Wrong(f"{word} was not fetched; `bentod models pull {word}` does that")
    return [one for one in known if not words or any(word.startswith(HUB) and means(word, one) for word in words)]


def _verified(here: Store, tags: Sequence[Tag]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for tag in tags:
        try:
            with counting(str(tag), here.read(tag).size) as counted:
                yield str(tag), here.verify(tag, counted)
        except ModelError as error:
            yield str(tag), (str(error),)


def _verified_fetches(records: Sequence[Record]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for record in records:
        with counting(hub_tag(record), record.size) as counted:
            wrong = tuple(filter(None, (_wrong(Path(record.folder), file, counted) for file in record.files)))
        yield hub_tag(record), wrong


def _wrong(folder: Path, file: Fetched, counted: digest.Counted) -> str:
    """Links are followed: the files lie in huggingface_hub's cache."""
    try:
        (read,) = digest.hashed((Found(file.path, file.size, folder / file.path),), follow=True, counted=counted).files
    except ModelError as error:
        return str(error)
    return "" if read.sha256 == file.sha256 else f"{file.path} was changed"
