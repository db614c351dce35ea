"""Makes a stand-in of the image `python:X.Y-slim` from this host's own Debian mirror, where no registry can be reached.

It holds what a build needs to reach what this host reaches: its sources of packages, certificates and pip's settings.
So it is for an engine of one's own, and must never be pushed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian's own Python, by release."""

_LIMIT_S = 300.0
_PACKAGES = "ca-certificates,netbase,python3,python3-venv"
_LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
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
    root = folder / "root"
    words = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release(), str(root), _mirror()]
    done = _run(["unshare", "--mount", *words])  # what it mounts is gone with it
    if done.returncode:
        raise Impossible(f"debootstrap failed: {(done.stdout + done.stderr)[-500:]}")
    for name in _LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    _reach(root)
    archive = folder / "root.tar"
    without = [f"--exclude=./{name}/*" for name in ("dev", "proc", "sys")]
    done = _run(["tar", "-C", str(root), "--numeric-owner", *without, "-cf", str(archive), "."])
    if done.returncode:
        raise Impossible(done.stderr)
    _run(["rm", "-rf", "--one-file-system", str(root)])
    return archive


def _reach(root: Path) -> None:
    """Let the image reach what this host reaches."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    for path in [_APT / "sources.list", *_APT.glob("sources.list.d/*.sources"), *_APT.glob("sources.list.d/*.list")]:
        if path.is_file():
            shutil.copy(path, root / path.relative_to("/"))
    for path in _APT.glob("apt.conf.d/*"):
        if _run(["dpkg", "--search", str(path)]).returncode:  # no package has it: it is about this host
            shutil.copy(path, root / path.relative_to("/"))
    if _CERTIFICATES.is_file():
        shutil.copy(_CERTIFICATES, root / _CERTIFICATES.relative_to("/"))
    (root / "etc/pip.conf").write_text(_pip_conf())
    (root / "etc/resolv.conf").write_text("")


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
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Impossible(f"{words[0]} takes too long") from None
