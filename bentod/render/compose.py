"""A Deployment as a file of Docker Compose: what `bentod render compose` writes. Its template is in `recipes`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentod.plan.image import CODE_AT, MODELS_AT, PORT
from bentod.plan.times import KILL_AFTER_S
from bentod.render.deployment import CACHE_AT, Deployment, cached
from bentod.render.recipes import Filters, Unwritable, Written, rendered
from bentod.render.scalars import quoted, seconds, whole
from bentod.spec.variables import Variable

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Host:
    """What is said of the machine: the `port` on which it publishes the APIs, and its folder of `models`, for an image
    into which they are mounted."""

    port: int = PORT
    models: str = "./models"


def compose(deployment: Deployment, host: Host) -> str:
    """The text of `compose.yaml`. Raises Unwritable."""
    folder = host.models if deployment.models == "mount" else ""
    if not 1 <= host.port <= 65535:
        raise Unwritable(f"{host.port} is no port")
    if _CONTROL.search(folder) or (deployment.models == "mount" and not folder):
        raise Unwritable(f"{folder!r} is not the path of a folder")
    values = {
        "name": deployment.name,
        "image": deployment.image,
        "ports": f"{host.port}:{PORT}",
        "specs": [f"{CODE_AT}/{path}" for path in deployment.specs],
        "variables": deployment.variables,
        "settings": sorted(deployment.settings.items()),
        "start_s": deployment.start_s,
        "stop_s": deployment.stop_s + KILL_AFTER_S,
        "mounted": folder,
        "models_at": MODELS_AT,
        "cache": CACHE_AT if deployment.models == "fetch" else "",
        **cached(),
        "cpus": "" if deployment.room.most_cpus_m is None else f"{deployment.room.most_cpus_m / 1000:g}",
        "memory": "" if deployment.room.memory is None else f"{deployment.room.memory}b",
        "gpus": deployment.room.gpus,
    }
    return rendered("compose/compose.yaml.j2", values, _FILTERS)


def _literal(text: str) -> Written:
    """A string in which a dollar is a dollar: Compose would replace what follows one."""
    return quoted(text.replace("$", "$$"))


def _required(variable: Variable) -> Written:
    """The value that the variable has where Compose runs; without it, Compose refuses."""
    return quoted(f"${{{variable.name}{':' if variable.filled else ''}?the spec needs it}}")


_FILTERS: Filters = {"q": _literal, "required": _required, "seconds": seconds, "n": whole}
