"""The options of `bentod render`, and for which forms each is."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentod.spec import quantities
from bentod.spec.fields import VARIABLE

FORMS = {
    "dockerfile": "the file that an image is built from",
    "compose": "a container, for Docker Compose",
    "kubernetes": "manifests",
    "systemd": "a service unit",
}
_MANIFESTS = ("compose", "kubernetes")


@dataclass(frozen=True, slots=True)
class Option:
    """One option, and what `argparse` is told of it. One that is not given is None."""

    flag: str
    forms: tuple[str, ...]
    told: dict[str, Any]

    @property
    def name(self) -> str:
        """What `argparse` calls its value."""
        return self.flag.removeprefix("--").replace("-", "_")


def add(parser: argparse.ArgumentParser) -> None:
    """Add all of them, each below the forms that it is for."""
    groups: dict[tuple[str, ...], Any] = {}
    for option in OPTIONS:
        group = groups.get(option.forms)
        if group is None:
            group = groups[option.forms] = parser.add_argument_group(" and ".join(option.forms))
        group.add_argument(option.flag, default=None, **option.told)


def misplaced(args: argparse.Namespace) -> str:
    """What is wrong if an option was given that is not for this form; or nothing."""
    for option in OPTIONS:
        if args.form not in option.forms and getattr(args, option.name) is not None:
            return f"{option.flag} is for {' and '.join(option.forms)}, not for {args.form}"
    return ""


def _thousandths(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.001 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of CPUs, such as 2 or 0.5")
    return math.ceil(number * 1000)


def _size(text: str) -> int:
    found = quantities.size(text)
    if not found:
        raise argparse.ArgumentTypeError(f"`{text}` is no size, such as 512MiB or 4GiB")
    return found


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(VARIABLE, name) or "\0" in value:
        raise argparse.ArgumentTypeError(f"`{name}` is no assignment: write NAME=VALUE")
    return name, value


_ON: dict[str, Any] = {"action": "store_true"}

OPTIONS = (
    Option(
        "--syntax", ("dockerfile",), {**_ON, "help": "name the frontend, which an engine without internet cannot pull"}
    ),
    Option(
        "--no-cache-mounts", ("dockerfile",), {**_ON, "help": "without caches of packages between builds: old builders"}
    ),
    Option("--user", ("systemd",), {**_ON, "help": "for the user's own systemd, not the system's"}),
    Option("--socket", ("systemd",), {**_ON, "help": "systemd opens the sockets: one more unit"}),
    Option(
        "--type",
        ("systemd",),
        {
            "choices": ("notify", "notify-reload"),
            "help": "notify-reload needs systemd 253: then `systemctl reload` waits until the reload is over",
        },
    ),
    Option("--image", _MANIFESTS, {"metavar": "REF", "help": "the image (default: as the spec's `build` names it)"}),
    Option(
        "--env",
        _MANIFESTS,
        {
            "metavar": "NAME=VALUE",
            "type": _assignment,
            "action": "append",
            "help": "a variable whose value everybody may read: it is written down; may be repeated",
        },
    ),
    Option("--port", _MANIFESTS, {"metavar": "N", "type": int, "help": "what is published (3000), the Service's (80)"}),
    Option(
        "--gpus",
        _MANIFESTS,
        {"metavar": "N", "type": int, "help": "GPUs (by `resources`, else 1 if `build.cuda` is set)"},
    ),
    Option(
        "--inventory",
        _MANIFESTS,
        {"metavar": "FILE", "type": Path, "help": "a host like those meant, as `bentod inventory --json` tells of it"},
    ),
    Option(
        "--cpus",
        _MANIFESTS,
        {"metavar": "N", "type": _thousandths, "help": "CPUs: a limit; of pods, a request (by `resources`, else 1)"},
    ),
    Option(
        "--memory",
        _MANIFESTS,
        {"metavar": "SIZE", "type": _size, "help": "memory: a limit; of pods, a request too (by `resources`)"},
    ),
    Option(
        "--models",
        ("compose",),
        {"metavar": "DIR", "help": "the folder of models, if `build.models` is `mount` (default: ./models)"},
    ),
    Option("--replicas", ("kubernetes",), {"metavar": "N", "type": int, "help": "the least number of pods (2)"}),
    Option(
        "--max-replicas",
        ("kubernetes",),
        {"metavar": "N", "type": int, "help": "the greatest (10, or --replicas); if both are the same, nothing scales"},
    ),
    Option("--secret", ("kubernetes",), {"metavar": "NAME", "help": "the Secret with the variables (NAME-env)"}),
    Option(
        "--models-claim",
        ("kubernetes",),
        {"metavar": "NAME", "help": "the volume claim for models that are mounted or fetched"},
    ),
    Option("--config-map", ("kubernetes",), {**_ON, "help": "the spec is in a ConfigMap, in place of the image's"}),
    Option("--egress", ("kubernetes",), {**_ON, "help": "pods may reach anything, not only be reached"}),
    Option("--keda", ("kubernetes",), {**_ON, "help": "KEDA scales, in place of a HorizontalPodAutoscaler"}),
    Option(
        "--gateway-api",
        ("kubernetes",),
        {"metavar": "[NAMESPACE/]GATEWAY", "help": "an HTTPRoute from this Gateway to the Service"},
    ),
    Option(
        "--hostname",
        ("kubernetes",),
        {"metavar": "HOST", "action": "append", "help": "a host name of the HTTPRoute; may be repeated"},
    ),
)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Where to write."""
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write files into this folder")
