"""Makes a stand-in of the image `python:X.Y-slim` from this host's own Debian mirror, where no registry can be reached.

It holds what a build needs to reach what this host reaches: its sources of packages, certificates and pip's settings.
So it is for an engine of one's own, and must never be pushed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian's own Python, by release."""

_LIMIT_S = 600.0
_PACKAGES = "ca-certificates,netbase,python3,python3-venv"
_MAKE = r"""
set -e
mount -t tmpfs -o size=2g tmpfs "$1" || true
debootstrap --variant=minbase --include="$2" "$3" "$1" "$4"
cd "$1"
rm -rf etc/apt/sources.list var/cache/apt/* var/lib/apt/lists/* var/log/*
rm -rf usr/share/doc/* usr/share/man/* usr/share/locale/*
ln -s /usr/bin/python3 usr/local/bin/python
cp -a "$5/." .
tar --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -cf "$6" .
"""
"""In a mount namespace: in memory it takes a third of the time, and what is mounted is gone with it."""

_APT, _CERTIFICATES = Path("/etc/apt"), Path("/etc/ssl/certs/ca-certificates.crt")
_OF_PIP = ("cert", "index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


class Impossible(Exception):
    """Says why this host cannot make one."""


def release() -> str:
    """The name of this host's Debian. Raises Impossible if it is none that is known."""
    try:
        found = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        found = ""
    if found not in PYTHONS:
        raise Impossible("this host is no Debian that is known")
    return found


def make(folder: Path) -> Path:
    """The file system as an archive, in an empty folder. Takes a minute. Raises Impossible."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        raise Impossible("it takes root, and debootstrap")
    root, more, archive = folder / "root", folder / "more", folder / "root.tar"
    root.mkdir()
    _reach(more)
    words = [str(root), _PACKAGES, release(), _mirror(), str(more), str(archive)]
    done = _run(["unshare", "--mount", "sh", "-c", _MAKE, "make", *words])
    if done.returncode:
        raise Impossible(f"debootstrap failed: {(done.stdout + done.stderr)[-500:]}")
    return archive


def _reach(root: Path) -> None:
    """The files that let an image reach what this host reaches."""
    copied = [_APT / "sources.list", *_APT.glob("sources.list.d/*.sources"), *_APT.glob("sources.list.d/*.list")]
    copied += [path for path in _APT.glob("apt.conf.d/*") if _of_this_host(path)]
    for path in (*copied, _CERTIFICATES):
        if path.is_file():
            (root / path.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path.relative_to("/"))
    (root / "etc/pip.conf").write_text(_pip_conf())
    (root / "etc/resolv.conf").write_text("")


def _of_this_host(path: Path) -> bool:
    """Whether no package has brought it."""
    return _run(["dpkg", "--search", str(path)]).returncode != 0


def _mirror() -> str:
    """Where this host has its own packages from. Raises Impossible."""
    for path in sorted(_APT.glob("sources.list.d/*.sources")):
        if found := re.search(r"^URIs:\s*(\S+)", path.read_text(), re.MULTILINE):
            return found[1]
    for path in [_APT / "sources.list", *sorted(_APT.glob("sources.list.d/*.list"))]:
        if path.is_file() and (found := re.search(r"^deb\s+(?:\[.*?\]\s+)?(\S+)", path.read_text(), re.MULTILINE)):
            return found[1]
    raise Impossible("this host has no source of packages")


def _pip_conf() -> str:
    """What pip is told on this host, by files or variables, as far as it means something elsewhere."""
    said = _run([sys.executable, "-m", "pip", "config", "list"]).stdout
    found = re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", said, re.MULTILINE)
    lines = [f"{key} = {value}" for key, value in dict(found).items() if key in _OF_PIP and "file:" not in value]
    return "\n".join(["[global]", *lines, ""])


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Impossible(f"{words[0]} takes too long") from None
    return subprocess.CompletedProcess(words, process.returncode, output, errors)
