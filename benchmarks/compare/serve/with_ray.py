"""Ray Serve: one application with one deployment, until told to stop."""

import os
import signal
from typing import Any

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1 everywhere
    "RAY_AUTH_MODE": "disabled",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}

import ray
from given import PORT, SIZE, WINDOW_MS, WORKERS, WORKLOAD
from ray import serve
from starlette.requests import Request
from work import WORK, listed, opened


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 0.1})
class Model:
    def __init__(self) -> None:
        self.work = WORK[WORKLOAD]()

    async def __call__(self, request: Request) -> Any:
        if WORKLOAD == "image":
            return self.work.one(opened(await request.body()))
        x = (await request.json())["x"]
        return await self.many(x) if SIZE > 1 else listed(self.work.one(x))

    @serve.batch(max_batch_size=max(2, SIZE), batch_wait_timeout_s=WINDOW_MS / 1e3)
    async def many(self, x: list[Any]) -> list[Any]:
        return [listed(answer) for answer in self.work.many(x)]


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config={"enable_access_log": False})
    serve.run(Model.bind(), route_prefix=f"/{WORKLOAD}")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
