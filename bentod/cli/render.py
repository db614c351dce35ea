"""`bentod render`: the spec in the words of other systems."""

from __future__ import annotations

import argparse
import os
import pwd
import re
import sys
import tempfile
from pathlib import Path

from bentod.cli.options import add_files
from bentod.cli.project import chosen
from bentod.daemon.folders import service_folder
from bentod.plan.times import stop_s
from bentod.render.systemd import Service, units
from bentod.settings import Settings, read
from bentod.spec.load import load
from bentod.spec.model import Spec

FORMS = ("systemd",)
_LATER = ("dockerfile", "compose", "kubernetes")
_NAME = re.compile(r"[a-z_][a-z0-9_-]*")


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("form", metavar="FORM", choices=(*FORMS, *_LATER), help="systemd: a service unit")
    add_files(parser)
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write files into this folder")
    parser.add_argument("--user", action="store_true", help="for the user's own systemd, not the system's")
    parser.add_argument("--socket", action="store_true", help="systemd opens the sockets: one more unit")
    parser.add_argument(
        "--type",
        choices=("notify", "notify-reload"),
        default="notify",
        help="notify-reload needs systemd 253: then `systemctl reload` waits until the reload is over",
    )


def run(args: argparse.Namespace) -> int:
    """0: written. 2: a form that this version does not know. Raises SpecError, BadSetting, Unwritable."""
    if args.form in _LATER:
        print(f"bentod render {args.form}: not supported by this version", file=sys.stderr)
        return 2
    files = chosen(args)
    texts = units(_service(args, load(files, os.environ).spec, files, read()))
    if args.output is not None:
        _write(args.output, texts)
    elif len(texts) == 1:
        sys.stdout.write(*texts.values())
    else:
        sys.stdout.write("\n".join(f"# {name}\n{text}" for name, text in texts.items()))
    return 0


def _service(args: argparse.Namespace, spec: Spec, files: list[Path], settings: Settings) -> Service:
    folder = files[0].parent
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
        socket=args.socket,
        waits_for_reload=args.type == "notify-reload",
    )


def _owner(folder: Path) -> str:
    """Who the project belongs to: the daemon writes `.bentod` there."""
    number = folder.stat().st_uid
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
    return name if _NAME.fullmatch(name) else str(number)


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Each file appears whole, or stays as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{name}-", delete=False, encoding="utf-8") as file:
            try:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(folder / name)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
