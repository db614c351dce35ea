"""What a server here is told: in the environment, where processes that it spawns find it too."""

import json
import os
from typing import Any

WORKLOAD = os.environ["COMPARE_WORKLOAD"]
PORT = int(os.environ["COMPARE_PORT"])
SETTING: dict[str, Any] = json.loads(os.environ["COMPARE_SETTING"])
WORKERS = int(SETTING.get("workers", 1))
SIZE = int(SETTING.get("size", 1))
"""The largest batch; 1 is none."""
WINDOW_MS = float(SETTING.get("window_ms", 0))
