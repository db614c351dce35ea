"""`bentod render systemd`: what of this host and the spec goes into units."""

from __future__ import annotations

import argparse
import pwd
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bentod.daemon.folders import service_folder
from bentod.plan.build import demands
from bentod.plan.times import stop_s
from bentod.render.systemd import Service, units
from bentod.settings import Settings, read
from bentod.spec.load import Loaded
from bentod.spec.model import Spec

_NAME = re.compile(r"[a-z_][a-z0-9_-]*")


def systemd_files(args: argparse.Namespace, loaded: Loaded) -> dict[str, str]:
    """The units. Raises BadSetting, Unwritable."""
    return units(_service(args, loaded.spec, loaded.files, read()))


def _service(args: argparse.Namespace, spec: Spec, files: Sequence[Path], settings: Settings) -> Service:
    folder, wanted = files[0].parent, demands(spec)
    state, run = settings.state and settings.state.absolute(), settings.run and settings.run.absolute()
    runtime = "" if args.user or run else service_folder(files[0])
    environ = {
        "BENTOD_STATE": str(state or ""),
        "BENTOD_RUN": f"/run/{runtime}" if runtime else str(run or ""),
    }
    return Service(
        name=spec.name,
        version=spec.version,
        listen=spec.server.listen,
        command=(sys.executable, "-P", "-m", "bentod", "up", *(word for file in files for word in ("-f", str(file)))),
        directory=folder,
        environ={name: value for name, value in environ.items() if value},
        runtime=runtime,
        writable=state or folder,
        user="" if args.user else _owner(folder),
        start_s=max((service.start_timeout_s for service in spec.services.values()), default=0.0),
        stop_s=stop_s(spec.server.drain_timeout_s),
        socket=bool(args.socket),
        waits_for_reload=args.type == "notify-reload",
        gpus=any(demand.needs.computes for demand in wanted),
        limits=any(demand.needs.memory is not None or demand.needs.cpus for demand in wanted),
    )


def _owner(folder: Path) -> str:
    """Who the project belongs to: the daemon writes `.bentod` there."""
    number = folder.stat().st_uid
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
    return name if _NAME.fullmatch(name) else str(number)
