"""Starts a gateway before anything else is imported: importing is most of the time to readiness, and the gateway can do
its part of it while the daemon reads the spec."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bentod.daemon.notify import child_environ
from bentod.supervise.spawn import Spawned, spawn


def spawn_gateway() -> Spawned:
    """A gateway process that waits for its orders, and shares the daemon's stderr. Raises OSError."""
    argv = [sys.executable, "-P", "-m", "bentod.gateway"]
    return spawn(argv, child_environ(os.environ), Path("/"), capture=False)
