"""Spec → Deployment: all that a manifest says of one spec, whatever the platform. Pure; no secret is in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bentod.plan import times
from bentod.plan.build import demands
from bentod.plan.image import USER
from bentod.render.recipes import Unwritable
from bentod.render.room import Asked, Room, room
from bentod.spec.build_fields import IMAGE
from bentod.spec.model import Spec
from bentod.spec.variables import Variable, constant, variables

FETCH_S = 1800.0
"""What an image that fetches its models at the start has for that."""
CACHE_AT = "/var/tmp"  # noqa: S108 - a volume's place
"""Where a volume keeps what such an image fetches. Everybody may write into this folder of any image, and so into a
volume that an engine makes there."""
OF_THE_IMAGE = frozenset(
    (
        *("PATH", "HOME", "HOSTNAME", "PWD", "LANG", "LOGNAME", "PORT", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"),
        *("BENTOD_LISTEN", "BENTOD_LOG_FORMAT", "BENTOD_WATCH", "BENTOD_STATE", "BENTOD_BAKED_MODELS", "BENTOD_MODELS"),
        "HF_HOME",
    )
)
"""Variables that an image, or what runs it, sets by itself: a manifest that set them from outside would break it."""

_LONGEST_IMAGE = 500
_WHERE_IT_LISTENS = ("BENTOD_LISTEN", "PORT")
_LONGEST_VARIABLE = 253
Models = Literal["none", "bake", "mount", "fetch"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is said besides the spec. `image` is a reference. `settings` are variables whose values may be read by
    everybody. `specs` are the spec's files, from the project's folder. `kept` are the names of those that the spec's
    `env_files` set: no image has these files. `room` is what is said in place of what follows from `resources`."""

    image: str
    settings: Mapping[str, str] = field(default_factory=dict)
    specs: tuple[str, ...] = ()
    kept: Collection[str] = ()
    room: Asked = field(default_factory=Asked)


@dataclass(frozen=True, slots=True)
class Deployment:
    """All that manifests are rendered from.

    `description` and `labels` hold nothing that came from the environment. `variables` are those that the spec refers
    to, and that have to come from outside, without those in `settings`. `specs` are the spec's files, from the
    project's folder; none: the one that is found there by its name. `user` and `group` are numbers.
    """

    name: str
    version: str
    image: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    specs: tuple[str, ...] = ()
    user: int = 65532
    group: int = 65532
    models: Models = "none"
    hub: bool = False
    """Whether a model comes from Hugging Face."""
    room: Room = field(default_factory=Room)
    path_prefix: str = ""
    start_s: float = 120.0
    stop_s: float = 60.0


def deployment(spec: Spec, as_written: Mapping[str, Any], wishes: Wishes) -> Deployment:
    """What is deployed. `as_written` is the spec with its `${…}`. Raises Unwritable."""
    models: Models = spec.build.models if spec.models else "none"
    user, _, group = (spec.build.user or USER).partition(":")
    fetch_s = FETCH_S if models == "fetch" else 0.0
    return Deployment(
        name=spec.name,
        version=spec.version,
        image=_image(wishes.image),
        description=spec.description if constant(as_written.get("description")) else "",
        labels=_public(spec.labels, as_written.get("labels")),
        variables=_wanted(spec, as_written, wishes, models),
        settings=dict(sorted(wishes.settings.items())),
        specs=wishes.specs,
        user=int(user),
        group=int(group or user),
        models=models,
        hub=any(model.source.startswith("hf://") for model in spec.models.values()),
        room=room(demands(spec), len(spec.services), spec.server.gateways, wishes.room, spec.build.cuda is not None),
        path_prefix=spec.server.path_prefix,
        start_s=times.start_s(service.start_timeout_s for service in spec.services.values()) + fetch_s,
        stop_s=times.stop_s(spec.server.drain_timeout_s),
    )


def cached() -> dict[str, str]:
    """Where in the cache what lies: the store of Hugging Face's library, and bentod's own."""
    return {"cache_hub": f"{CACHE_AT}/huggingface", "cache_models": f"{CACHE_AT}/bentod-models"}


def _image(text: str) -> str:
    if len(text) > _LONGEST_IMAGE or not re.fullmatch(IMAGE, text):
        raise Unwritable(f"`{text[:80]}` is no reference of an image, such as `registry.example/team/app:1.0`")
    return text


def _public(labels: Mapping[str, str], written: Any) -> dict[str, str]:
    """The labels without those that hold a value of the environment: that may be a secret."""
    known = written if isinstance(written, Mapping) else {}
    return {key: value for key, value in sorted(labels.items()) if constant(known.get(key))}


def _wanted(spec: Spec, as_written: Mapping[str, Any], wishes: Wishes, models: Models) -> tuple[Variable, ...]:
    """The variables that must, or may, come from outside. What the image sets itself, is the image's."""
    inside = OF_THE_IMAGE | spec.build.env.keys() | wishes.settings.keys()
    kept = {name: Variable(name, required=True) for name in wishes.kept}
    found = {one.name: replace(one, required=one.required or one.name in kept) for one in variables(as_written)}
    wanted = {name: one for name, one in {**kept, **found}.items() if name not in inside}
    if models == "fetch" and any(model.source.startswith("hf://") for model in spec.models.values()):
        wanted.setdefault("HF_TOKEN", Variable("HF_TOKEN", required=False))
    for name in (*wanted, *wishes.settings, *spec.build.env):
        if name in _WHERE_IT_LISTENS:
            raise Unwritable(f"`{name}` is not to be set: what is rendered goes to the port on which the image listens")
        if len(name) > _LONGEST_VARIABLE:
            raise Unwritable(f"the variable `{name[:40]}…` has a name of more than {_LONGEST_VARIABLE} characters")
    return tuple(wanted[name] for name in sorted(wanted))
