"""A model whose start goes wrong in the way that HOW says."""

import os
import subprocess
import sys
import threading
import time

HOW = os.environ.get("HOW", "")

print("importing", HOW)
print("a warning of the import", file=sys.stderr)


def _never():
    while True:
        time.sleep(3600)


match HOW:
    case "import error":
        import no_such_module_at_all  # noqa: F401
    case "import raises":
        raise ValueError("import-went-wrong")
    case "import exits":
        sys.exit("import-says-bye")
    case "import ends the process":
        os._exit(7)
    case "import hangs":
        _never()
    case "import hangs with the interpreter locked":
        import ctypes

        ctypes.PyDLL(None).sleep(3600)
    case "import leaves a child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        raise ValueError("import-went-wrong")


class Model:
    def __init__(self):
        match HOW:
            case "constructor raises":
                raise ValueError("constructor-went-wrong")
            case "constructor exits":
                raise SystemExit(3)
            case "constructor hangs":
                _never()

    def begin(self):
        match HOW:
            case "hook raises":
                raise ValueError("hook-went-wrong")
            case "hook hangs":
                _never()
            case "hook leaves threads":
                for _ in range(3):
                    threading.Thread(target=_never, daemon=False).start()

    if HOW != "no method":

        def run(self):
            return os.getpid()
