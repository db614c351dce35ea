"""Python packages that are locked: one value for every form of lock file."""

from __future__ import annotations

from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from bentod.errors import Problem
from bentod.lock.logical import checked_hash
from bentod.lock.one import Refused, requirement

_LONGEST = 64_000


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package in exactly one version. `marker` says where it is installed, "" everywhere; `url` is that of an
    archive, if no index has it. `hashes` are as pip writes them, `sha256:…`, in order."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()
    url: str = ""
    line: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The package as a hashed requirements file has it."""
        return " ".join([_said(self), *(f"--hash={one}" for one in self.hashes)])


@dataclass(frozen=True, slots=True)
class Locked:
    """All packages that are installed. `requires_python` and `environments` (markers, one of which must hold) say where
    the lock can be used; "" and none: it does not say."""

    packages: tuple[LockedPackage, ...] = ()
    requires_python: str = ""
    environments: tuple[str, ...] = ()
    file: str = field(default="", compare=False)

    def lines(self) -> tuple[str, ...]:
        """Hashed requirements for pip, sorted."""
        return tuple(sorted(package.text for package in self.packages))

    def problem(self, package: LockedPackage | None, code: str, message: str, hint: str = "") -> Problem:
        """A problem at a package, or with the whole lock."""
        line = package.line if package is not None else 0
        return Problem(code, message, self.file, line, 1 if line else 0, hint=hint)


def locked_package(package: LockedPackage) -> LockedPackage:
    """`package` with its name, version, marker and hashes in their usual form. Raises Refused if pip could read it as
    anything else."""
    found = requirement(_said(package), _LONGEST)
    hashes = sorted({checked_hash(*one.split(":", 1)) for one in package.hashes if ":" in one})
    if not hashes:
        raise Refused(
            "no-hash", f"`{found.name}` has no hash", "lock it with hashes, as `uv lock` and `bentod lock` do"
        )
    versions = [one.version for one in found.specifier if one.operator == "==" and not one.version.endswith(".*")]
    if not found.url and len(versions) != len(found.specifier):
        raise Refused("unpinned", f"`{found.name}` is not locked to one version", "lock it as `name==version`")
    return LockedPackage(
        canonicalize_name(found.name),
        versions[0] if versions else package.version,
        str(found.marker or ""),
        tuple(hashes),
        found.url or "",
        package.line,
    )


def _said(package: LockedPackage) -> str:
    where = f" ; {package.marker}" if package.marker else ""
    return (f"{package.name} @ {package.url}" if package.url else f"{package.name}=={package.version}") + where
