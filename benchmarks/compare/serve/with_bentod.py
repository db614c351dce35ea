"""bentod: writes the spec into the current folder and becomes `bentod up`."""

import json
import os
import shutil
import sys
from pathlib import Path

from given import PORT, SETTING, SIZE, WINDOW_MS, WORKERS, WORKLOAD

NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
TYPES = {
    "echo": (NUMBERS, NUMBERS),
    "embed": (
        {"type": "string", "minLength": 1, "maxLength": 20000},
        {"type": "array", "format": "tensor", "dtype": "float32", "shape": [384]},
    ),
    "iris": (NUMBERS, {"type": "array", "format": "tensor", "dtype": "float64", "shape": [3]}),
    "image": (
        {"type": "string", "format": "image"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    ),
}


def spec():
    input_, output = TYPES[WORKLOAD]
    method = "many" if SIZE > 1 else "one"
    if WORKLOAD != "image":
        input_ = {"type": "object", "properties": {"x": input_}, "required": ["x"]}
    api = {
        "service": "work",
        "method": method + ("_async" if SETTING.get("is_async") else ""),
        "input": input_,
        "output": output,
        "queue": 4096,
    }
    if SIZE > 1:
        api |= {"takes": "columns", "batching": {"max_size": SIZE, "max_delay": f"{WINDOW_MS:g}ms"}}
    return {
        "bentod": 1,
        "name": "compare",
        "services": {"work": {"target": f"work:{WORKLOAD.capitalize()}", "workers": WORKERS}},
        "apis": {WORKLOAD: api},
        "server": {"listen": f"127.0.0.1:{PORT}", "gateways": SETTING.get("gateways", 1)},
    }


if __name__ == "__main__":
    shutil.copy(Path(__file__).parent / "work.py", "work.py")
    Path("bentofile.yaml").write_text(json.dumps(spec()))
    os.environ["BENTOD_ACCESS_LOG"] = "false"
    os.execv(sys.executable, [sys.executable, "-m", "bentod", "up"])
