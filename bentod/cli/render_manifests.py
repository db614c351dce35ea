"""`bentod render compose` and `kubernetes`: what of the command line and the spec goes into manifests."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TypeVar

from bentod.cli.image_plan import placed
from bentod.daemon.room import Room
from bentod.daemon.room import placed as placed_on
from bentod.errors import Problem, SpecError
from bentod.image.references import tag_of
from bentod.inventory.document import read
from bentod.plan.grants import Placement
from bentod.render.cluster import Cluster
from bentod.render.compose import Host, compose
from bentod.render.deployment import Deployment, Wishes, deployment
from bentod.render.kubernetes import kubernetes
from bentod.render.room import Asked
from bentod.spec.load import Loaded

T = TypeVar("T")


def compose_files(args: argparse.Namespace, loaded: Loaded) -> dict[str, str]:
    """The file for Docker Compose. Raises SpecError, Unwritable."""
    usual = Host()
    host = Host(port=_or(args.port, usual.port), models=_or(args.models, usual.models))
    return {"compose.yaml": compose(_deployment(args, loaded), host)}


def kubernetes_files(args: argparse.Namespace, loaded: Loaded) -> dict[str, str]:
    """The manifests. Raises SpecError, Unwritable."""
    usual = Cluster()
    replicas = _or(args.replicas, usual.replicas)
    cluster = Cluster(
        replicas=replicas,
        most=_or(args.max_replicas, max(usual.most, replicas)),
        port=_or(args.port, usual.port),
        secret=_or(args.secret, ""),
        claim=_or(args.models_claim, ""),
        specs=_specs(loaded) if args.config_map else {},
        egress=bool(args.egress),
        keda=bool(args.keda),
        gateway=_or(args.gateway_api, ""),
        hostnames=tuple(args.hostname or ()),
    )
    return kubernetes(_deployment(args, loaded), cluster)


def _deployment(args: argparse.Namespace, loaded: Loaded) -> Deployment:
    wishes = Wishes(
        image=args.image or _image(loaded),
        settings=dict(args.env or ()),
        specs=tuple(_inside(path, loaded.directory) for path in loaded.files),
        kept=loaded.env_file_values.keys(),
        room=Asked(gpus=args.gpus, cpus_m=args.cpus, memory=args.memory, placement=_placement(args, loaded)),
    )
    return deployment(loaded.spec, loaded.as_written, wishes)


def _placement(args: argparse.Namespace, loaded: Loaded) -> Placement | None:
    """What the host of `--inventory` would give to the workers. Raises SpecError for the file, PlanError if it is too
    small."""
    if args.inventory is None:
        return None
    inventory = read(args.inventory)
    return placed_on(loaded, Room(look=lambda _: inventory))[0]


def _image(loaded: Loaded) -> str:
    """The image that `bentod build-image` makes of the spec, if it is not told otherwise. Raises SpecError."""
    spec = loaded.spec
    tag = tag_of(spec.version)
    if not tag:
        hint = "a tag has letters, digits, `_`, `.` and `-`; name the image with `--image`"
        message = f"the version `{spec.version}` cannot be an image's tag"
        raise SpecError([placed(Problem("bad-tag", message, path="version", hint=hint), loaded)])
    return f"{spec.build.image or spec.name}:{tag}"


def _specs(loaded: Loaded) -> dict[str, str]:
    """The spec's files with their text, by their paths in the project."""
    return {_inside(path, loaded.directory): path.read_text(encoding="utf-8") for path in loaded.files}


def _inside(path: Path, directory: Path) -> str:
    return os.path.relpath(path.absolute(), directory)


def _or(given: T | None, usual: T) -> T:
    return usual if given is None else given
