"""What `bentod up --wait` says to a person while it waits."""

import asyncio
import os
import sys
from types import SimpleNamespace

import pytest

from bentod.cli import detach


class Client:
    """Answers as a daemon that starts, and then has settled."""

    async def get(self, route):
        return {"daemon": {"pid": os.getpid()}, "state": "ready" if route == "/settled" else "starting"}


@pytest.mark.parametrize(("terminal", "wait", "said"), [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_who_waits_at_a_terminal_is_told_where_to_look(monkeypatch, capsys, terminal, wait, said):
    daemon = SimpleNamespace(pid=os.getpid(), poll=lambda: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    status = asyncio.run(detach._appear(daemon, Client(), wait=wait))
    assert status["state"] == ("ready" if wait else "starting")
    assert capsys.readouterr().err.count("`bentod logs -f`") == said
