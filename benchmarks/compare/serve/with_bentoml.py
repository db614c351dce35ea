"""BentoML: becomes `bentoml serve`."""

import os
import sys
from pathlib import Path

from given import PORT

if __name__ == "__main__":
    os.environ |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(Path.cwd())}
    words = ["bentoml", "serve", "bentoml_service:Service", "--host", "127.0.0.1", "--port", str(PORT)]
    words += ["--working-dir", str(Path(__file__).parent)]
    os.execv(sys.executable, [sys.executable, "-m", *words])
