"""MLServer: writes its two files of settings and becomes `mlserver start`."""

import json
import os
import sys
from pathlib import Path

from given import PORT, SETTING, SIZE, WINDOW_MS, WORKLOAD

if __name__ == "__main__":
    server = {
        "host": "127.0.0.1",
        "http_port": PORT,
        "grpc_port": int(os.environ["COMPARE_PORT_2"]),
        "metrics_endpoint": None,
        "debug": False,
        "parallel_workers": SETTING.get("workers", 1) if "parallel" in SETTING.get("also", "") else 0,
        "grpc_max_message_length": 1 << 26,
    }
    model = {"name": WORKLOAD, "implementation": "mlserver_model.Model"}
    if SIZE > 1:
        model |= {"max_batch_size": SIZE, "max_batch_time": WINDOW_MS / 1e3}
    Path("settings.json").write_text(json.dumps(server))
    Path("model-settings.json").write_text(json.dumps(model))
    os.execv(sys.executable, [sys.executable, "-m", "mlserver.cli.main", "start", "."])
