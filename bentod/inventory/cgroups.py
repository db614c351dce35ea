"""The control groups that this process is in, version 1 and 2, and what their files say.

Source: cgroups(7), the kernel's manuals of both versions.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal


def groups(root: Path, controller: Literal["cpu", "memory"]) -> tuple[list[Path], list[Path]]:
    """The folders of the groups that limit this process, from its own upwards: of version 2, and of version 1."""
    second: list[Path] = []
    first: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            if not controllers:
                second += _upwards(root / "sys/fs/cgroup", own)
            elif controller in controllers.split(","):
                first += _upwards(_mount(root, controllers, controller), own)
    return second, first


def number(path: Path) -> int | None:
    """What a group's file says; None for `max`, and where there is no such file."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def entry(path: Path, key: str) -> int | None:
    """What a file of lines `key value` says of a key."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return None


def _mount(root: Path, controllers: str, controller: str) -> Path:
    """Where a hierarchy of version 1 is: `cpu,cpuacct` is usually `cpu` as well, by a link."""
    alone = root / "sys/fs/cgroup" / controller
    return alone if alone.exists() else root / "sys/fs/cgroup" / controllers


def _upwards(mount: Path, own: str) -> list[Path]:
    """The folders of a group and of those around it. In a container only its own may be there, as the topmost."""
    folder = mount / own.strip("/")
    return [one for one in (folder, *folder.parents) if one.is_relative_to(mount)]
