"""Mosec: `python with_mosec.py`, told by the environment."""

import sys
from typing import Any

from given import PORT, SIZE, WINDOW_MS, WORKERS, WORKLOAD
from mosec import Server, Worker
from work import WORK, listed, opened

PLAIN = ["--timeout", "60000", "--log-level", "error", "--capacity", "4096", "--wait", "0"]


class Model(Worker):
    """JSON in, JSON out: Mosec's own (de)serialisers."""

    def __init__(self) -> None:
        self.work = WORK[WORKLOAD]()

    def forward(self, data: Any) -> Any:
        if SIZE > 1:
            return [listed(answer) for answer in self.work.many([item["x"] for item in data])]
        return listed(self.work.one(data["x"]))


class Picture(Model):
    """The body is the file."""

    def deserialize(self, data: bytes) -> Any:
        return {"x": opened(data)}


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(PORT), *PLAIN]
    server = Server()
    model = Picture if WORKLOAD == "image" else Model
    server.append_worker(model, num=WORKERS, max_batch_size=SIZE, max_wait_time=int(WINDOW_MS))
    server.run()
