"""The command line's side of the control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from bentod.errors import BentodError


class NotRunning(BentodError):
    """No daemon answers on the control socket."""


class UnknownApi(BentodError):
    """The daemon serves no API of this name."""


class Client:
    """Asks one daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def get(self, route: str) -> dict[str, Any]:
        """What the daemon answers. Raises NotRunning."""
        return await self._ask("GET", route)

    async def api(self, name: str) -> dict[str, Any]:
        """How an API is called. Raises NotRunning, UnknownApi."""
        found = await self.get(f"/apis/{quote(name, safe='')}")
        if "path" not in found:
            raise UnknownApi(f"the daemon serves no API {name!r}; it serves: {', '.join(found['apis'])}")
        return found

    async def post(self, route: str) -> dict[str, Any]:
        """What the daemon answers. Raises NotRunning."""
        return await self._ask("POST", route)

    async def _ask(self, method: str, route: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=None, connect=5)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path)), timeout=timeout) as session,
                session.request(method, f"http://bentod{route}") as response,
            ):
                answer: dict[str, Any] = await response.json()
                return answer
        except (aiohttp.ClientError, OSError):
            raise NotRunning("no daemon runs this spec; start it with `bentod up`") from None
