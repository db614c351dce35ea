"""What the connections of one gateway share: uvicorn's settings, its state, the Date header."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from bentod.gateway.app import App
from bentod.gateway.heads import Heads


@dataclass(slots=True)
class Shared:
    """What the connections of one gateway share."""

    config: Config
    app: App
    heads: Heads
    header_timeout_s: float
    write_timeout_s: float
    state: ServerState = field(default_factory=ServerState)
    leaving: bool = False
    """Whether each connection ends with its next answer."""
    date_at: float = 0.0
    date: bytes = b""

    def limit(self, header_timeout_s: float, keep_alive_s: float, write_timeout_s: float) -> None:
        """From now on these, on connections that are open, too."""
        self.header_timeout_s, self.write_timeout_s = header_timeout_s, write_timeout_s
        self.config.timeout_keep_alive = cast(int, keep_alive_s)
        for connection in list(self.state.connections):
            cast(Any, connection).limits_changed()


def shared(app: App, header_timeout_s: float, keep_alive_s: float, write_timeout_s: float) -> Shared:
    """uvicorn's settings for `app`. A client that takes nothing of an answer for `write_timeout_s` is cut off."""
    config = Config(
        cast(Any, app),  # uvicorn types its messages more narrowly than ASGI does
        interface="asgi3",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=cast(int, keep_alive_s),  # any number of seconds works
    )
    config.load()
    return Shared(config, app, Heads(app), header_timeout_s, write_timeout_s)
