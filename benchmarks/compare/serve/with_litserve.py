"""LitServe: `python with_litserve.py`, told by the environment."""

from typing import Any

import litserve
from given import PORT, SETTING, SIZE, WINDOW_MS, WORKERS, WORKLOAD
from work import WORK, listed, opened


class Model(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.work = WORK[WORKLOAD]()

    def decode_request(self, request):  # an annotation would mean something to FastAPI
        if WORKLOAD == "image":
            return opened(request["x"].file.read())
        return request["x"]

    def predict(self, x: Any) -> Any:
        return self.work.many(x) if SIZE > 1 else self.work.one(x)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> Any:
        return listed(output)


if __name__ == "__main__":
    api = Model(max_batch_size=SIZE, batch_timeout=WINDOW_MS / 1e3, api_path=f"/{WORKLOAD}")
    fast = "fast queue" in SETTING.get("also", "")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, fast_queue=fast)
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=SETTING.get("gateways", 1),
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
