"""Steps of a Dockerfile that install packages of the distribution. A script is a constant, and the packages are its
arguments: no name of a package is read by a shell."""

from __future__ import annotations

from collections.abc import Sequence

from bentod.render.instructions import Cache, Run
from bentod.render.recipes import Unwritable
from bentod.spec.bases import Manager, check_package
from bentod.spec.report import Fault

_APT = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
_RPM = "install --assumeyes --nodocs --setopt=install_weak_deps=0"
_NO_APT_LISTS = "apt-get clean && rm -rf /var/lib/apt/lists/*"

_CLEAN: dict[Manager, str] = {
    "apt": f'{_APT} "$@" && {_NO_APT_LISTS}',
    "apk": 'apk add --no-cache "$@"',
    "dnf": f'dnf {_RPM} "$@" && dnf clean all',
    "microdnf": f'microdnf {_RPM} "$@" && microdnf clean all',
}
"""What leaves nothing but the packages."""
_CLEAN["found"] = (
    f"if command -v apt-get > /dev/null; then {_CLEAN['apt']}; "
    f"elif command -v apk > /dev/null; then {_CLEAN['apk']}; "
    f"elif command -v dnf > /dev/null; then {_CLEAN['dnf']}; "
    f"elif command -v microdnf > /dev/null; then {_CLEAN['microdnf']}; "
    "else echo 'the base image has neither apt-get nor apk, dnf or microdnf' >&2; exit 1; fi"
)

_CACHED: dict[Manager, tuple[str, tuple[str, ...]]] = {
    # docker-clean is how images of Debian throw away what was downloaded; here a cache of the builder holds it.
    "apt": (f'rm -f /etc/apt/apt.conf.d/docker-clean && {_APT} "$@"', ("/var/cache/apt", "/var/lib/apt/lists")),
    "apk": ('apk --cache-dir /var/cache/apk --update-cache add "$@"', ("/var/cache/apk",)),
    "dnf": (f'dnf {_RPM} --setopt=keepcache=1 "$@"', ("/var/cache/dnf",)),
}
"""What keeps downloads for the next build, and where; the image does not hold them."""


def installed(manager: Manager, names: Sequence[str], cache: bool) -> list[Run]:
    """The step that installs these packages; none for none. Raises Unwritable for what is no package's name."""
    for name in names:
        _check(manager, name)
    if not names:
        return []
    script, folders = _CACHED.get(manager, (_CLEAN[manager], ())) if cache else (_CLEAN[manager], ())
    mounts = tuple(Cache(folder, "locked") for folder in folders)
    return [Run(("/bin/sh", "-ec", script, "sh", *names), mounts)]


def _check(manager: Manager, name: str) -> None:
    try:
        check_package(manager, name)
    except Fault as fault:
        raise Unwritable(f"{fault} ({fault.hint})") from None
