"""Values that a spec has from the environment may be secrets: a plan shows what is written in their place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bentod.plan.difference import ApiChange, Cause, Difference
from bentod.plan.words import existence, short
from bentod.spec.node import dotted

Written = Mapping[str, Any]
"""A spec as it is written, with `${…}`."""


def unsaid(difference: Difference, before: Written, after: Written) -> Difference:
    """The same difference between two specs, without what only the environment says."""
    old, new = dict(_references(before, ())), dict(_references(after, ()))
    if not old and not new:
        return difference

    def said(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
        return tuple(_said(cause, old, new) for cause in causes)

    return replace(
        difference,
        services=tuple(replace(one, causes=said(one.causes)) for one in difference.services),
        gateways=replace(difference.gateways, causes=said(difference.gateways.causes)),
        documents=said(difference.documents),
        apis=tuple(_of_api(api, {*old, *new}) for api in difference.apis),
    )


def refers(written: Written, *section: str) -> bool:
    """Whether a section has something from the environment."""
    return any(path[: len(section)] == section for path in _paths(written))


def _said(cause: Cause, old: Mapping[str, str], new: Mapping[str, str]) -> Cause:
    if cause.kind != "key" or not any(_within(name, cause.name) for name in (*old, *new)):
        return cause
    left, right = old.get(cause.name), new.get(cause.name)
    if left == right:  # a list, or the same words that mean something else now
        before, after = existence(bool(cause.before), bool(cause.after))
        return replace(cause, before=before, after=after)
    return replace(
        cause,
        before=cause.before if left is None else short(left),
        after=cause.after if right is None else short(right),
    )


def _of_api(api: ApiChange, references: set[str]) -> ApiChange:
    sections = (dotted(("apis", api.name)), "types", "server.path_prefix")
    if not any(_within(name, section) for name in references for section in sections):
        return api
    return replace(api, causes=tuple(replace(cause, message="differs") for cause in api.causes))


def _within(name: str, section: str) -> bool:
    return name == section or name.startswith((f"{section}.", f"{section}["))


def _references(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    for at, text in _leaves(value, path):
        if "${" in text:
            yield dotted(at), text


def _paths(written: Written) -> Iterator[tuple[str | int, ...]]:
    return (path for path, text in _leaves(written, ()) if "${" in text)


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif isinstance(value, str):
        yield path, value
