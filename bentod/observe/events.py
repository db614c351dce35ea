"""The names of all events, each with the keys that it has besides `time` and `level`. One event, one name."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "daemon.started": "name, pid, run, state",
    "daemon.stopping": "reason",
    "daemon.stopped": "abandoned",
    "generation.starting": "generation, services, apis",
    "generation.ready": "generation, seconds, url",
    "generation.failed": "generation, error",
    "gateway.started": "gateway, pid",
    "gateway.ready": "gateway, pid",
    "gateway.lost": "gateway, pid, reason",
    "gateway.stopped": "gateway, abandoned",
    "worker.started": "service, worker, pid",
    "worker.ready": "service, worker, pid, seconds",
    "worker.lost": "service, worker, pid, reason",
    "worker.backing_off": "service, worker, delay_s, attempt, reason",
    "worker.failed": "service, worker, reason",
    "worker.replaced": "service, pid, reason",
    "worker.output": "service, worker, stream, line",
    "call.finished": "api, status, code, seconds, queue_s, run_s, bytes_in, bytes_out, request_id, ttfc_s, error",
}
