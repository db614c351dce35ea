"""A host's folders for models, and fetches in this process or in a child of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from bentod.models.fetching import fetch_now
from bentod.models.home import Home
from bentod.models.huggingface import Hub
from bentod.models.orders import Limits
from bentod.models.pulling import TRANSFERS, Pull
from bentod.models.records import Records
from bentod.models.tally import Tally
from bentod.plan.models import ModelPlan

QUICK = Limits(retries=2, delay_s=0.01, longest_wait_s=2, silence_s=1)


@contextlib.contextmanager
def settled():
    """Waits for what a pull that failed has left: the fetching process simply ends then, this one goes on, and would
    close the library's client while it connects."""
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if thread.name.startswith(TRANSFERS):
                thread.join()


def hf(name="m", source="org/model", **more):
    return ModelPlan(name, "hf", source, **more)


class Host:
    """One host that fetches from `url`. `told` is all the progress that was."""

    def __init__(self, folder: Path, url: str):
        self.home = Home(folder / "models")
        self.cache = folder / "hf" / "hub"
        self.url = url
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "BENTOD_"))}
        self.environ = {**kept, "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": url}
        self.told = []

    def pull(self, model=None, limits=QUICK, **more):
        """Fetch in this process. Returns the record."""
        with settled():
            return self.prepared(model or hf(**more), limits).run()

    def prepared(self, model, limits=QUICK, hub=None):
        tally = Tally(model.name, self.told.append, time.monotonic)
        hub = hub or Hub(model.endpoint or self.url, limits)
        return Pull(model, hub, self.records, self.cache, limits, tally)

    def fetch(self, *models, **environ):
        """Fetch in a child."""
        return fetch_now(models, self.home, {**self.environ, **environ}, self.told.append, QUICK)

    @property
    def records(self):
        return Records(self.home)

    def files(self, record):
        """What lies where the record says."""
        return {file.path: Path(record.folder, file.path).read_bytes() for file in record.files}

    def partial(self):
        """What is left of files that have not come wholly."""
        return sorted(self.cache.rglob("*.incomplete")) + sorted(self.cache.rglob("*.tmp"))
