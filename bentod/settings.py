"""The `BENTOD_*` environment variables: how the tool itself behaves on this machine, never what is served."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bentod.errors import BentodError


class Settings(BaseSettings):
    """Read once by the command line and passed down as an argument."""

    model_config = SettingsConfigDict(env_prefix="BENTOD_", env_ignore_empty=True, frozen=True)

    state: Path | None = None
    """Folder for what must survive: logs, history. Default: `.bentod` beside the spec."""

    run: Path | None = None
    """Folder for sockets. Default: `$XDG_RUNTIME_DIR/bentod` or `/tmp/bentod-<uid>`."""

    log_format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text for a terminal, JSON lines otherwise."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    access_log: bool = True
    """One line per request."""


class BadSetting(BentodError):
    """A variable of the environment says something impossible."""


def read() -> Settings:
    """The settings of this process's environment. Raises BadSetting, which names every wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"BENTOD_{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
        raise BadSetting("; ".join(wrong)) from None
