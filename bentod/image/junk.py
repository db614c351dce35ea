"""What of a project is not part of an image: what comes by itself, what others keep there, secrets by their name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

MARK = ".bentod-context"
"""What says that a folder is a build context that we wrote, so that it may be replaced."""
OURS_OR_A_CACHE = frozenset(
    {
        *(".git", ".hg", ".svn", ".bentod", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache"),
        *(".ruff_cache", ".hypothesis", ".ipynb_checkpoints", ".import_linter_cache", ".venv"),
    }
)
"""Folders that are never taken, be it that git tracks them."""
FOREIGN = frozenset(
    {"node_modules", "site-packages", ".idea", ".vscode", ".aws", ".ssh", ".docker", ".kube", ".gnupg", ".cache"}
)
"""Folders that are not taken where git does not say what belongs to the project."""
_SECRETS = frozenset(
    {
        *(".env", ".netrc", ".pypirc", ".npmrc", ".git-credentials", ".htpasswd", ".dockercfg"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".bash_history", ".python_history", ".zsh_history"),
    }
)
_MAY_BE_SECRET = (".env", ".key", ".pem", ".p12", ".pfx", ".keytab")
_LEFT_BY_TOOLS = (".pyc", ".pyo", ".swp", ".swo", "~", ".DS_Store")
_BAD = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LONGEST = 4096


def is_junk_folder(name: str, *, tracked: bool) -> bool:
    """Whether nothing in a folder of this name is taken. `tracked`: git says that it belongs to the project."""
    return name in OURS_OR_A_CACHE or (not tracked and name in FOREIGN)


def is_junk_file(name: str) -> bool:
    """Whether a file of this name is not taken unless git tracks it, or somebody asks for it."""
    return _is_secret(name) or name.endswith(_LEFT_BY_TOOLS)


def may_be_secret(name: str) -> bool:
    """Whether a file of this name often holds what nobody else should read."""
    return _is_secret(name) or name.endswith(_MAY_BE_SECRET)


def _is_secret(name: str) -> bool:
    return name in _SECRETS or name.startswith(".env.")


def is_environment(folder: Path) -> bool:
    """Whether a virtual environment or one of conda's lies here, or what was written for another image."""
    return any((folder / name).exists() for name in ("pyvenv.cfg", "conda-meta", MARK))


def why_bad_name(path: str) -> str:
    """Why a file of this name cannot be part of a build context; "" if it can."""
    if any("\ud800" <= char <= "\udfff" for char in path):
        return "its name is not UTF-8"
    if any(unicodedata.category(char) in _BAD for char in path):
        return "its name has a line end or another control character"
    if len(path.encode()) > _LONGEST:
        return "its path is too long"
    return ""


def printable(text: str, most: int = 200) -> str:
    """Text from elsewhere as it may stand in a message: one line, nothing that a terminal obeys."""
    shown = "".join(char if unicodedata.category(char) not in _BAD | {"Cf"} else "\N{MIDDLE DOT}" for char in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Some names in a sentence: the first few, and how many more there are."""
    some = ", ".join(f"`{printable(name)}`" for name in names[:most])
    return some if len(names) <= most else f"{some} and {len(names) - most} more"
