"""A model with hooks, which a test steers by files in a folder."""

import os
from pathlib import Path


class Model:
    def __init__(self, folder):
        self.folder = Path(folder)

    def begin(self):
        (self.folder / "begun").touch()

    async def end(self):
        (self.folder / f"ended-{os.getpid()}").touch()
        if (self.folder / "end badly").exists():
            raise RuntimeError("the stop hook failed")

    def able(self):
        if (self.folder / "broken").exists():
            raise RuntimeError("no device")
        return not (self.folder / "unable").exists()

    def pid(self):
        return os.getpid()
