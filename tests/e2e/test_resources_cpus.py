"""Workers have the CPUs and the memory that the spec promises each of them, and keep to them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.daemon import eventually, running
from tests.support.project import api, project

pytestmark = pytest.mark.e2e
OWN = sorted(os.sched_getaffinity(0))
CODE = """
import os, threading, time

HELD = []

def seen():
    time.sleep(0.05)
    found = [os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM", "BENTOD_CPUS", "BENTOD_DEVICE")
    return {"pid": os.getpid(), "cpus": sorted(set().union(*found)), "env": [os.environ.get(name) for name in names]}

def leave():
    os.sched_setaffinity(0, range(os.cpu_count()))
    return os.getpid()

def eat(mib):
    def later():
        for _ in range(mib):
            HELD.append(bytes([1]) * 1024 * 1024)
    threading.Thread(target=later).start()
    return os.getpid()
"""


def eater(folder):
    resources = {"cpus": 1, "memory": "200MiB"}
    services = {
        "s": {"target": "main.py", "workers": 2, "resources": resources, "restart": {"delay": "20ms"}},
        "free": {"target": "main.py"},
    }
    apis = {"seen": api("s", "seen"), "leave": api("s", "leave"), "eat": api("s", "eat", "mib")}
    more = {"free": api("free", "seen")}
    return project(folder, files={"main.py": CODE}, services=services, apis=apis | more, reload={"watch": False})


def test_workers_keep_to_the_cpus_and_the_memory_that_they_were_promised(tmp_path):
    with running(eater(tmp_path)) as app:
        seen = eventually(lambda: (found := everybody(app)) and len(found) == 2 and found)
        assert [one["env"] for one in seen.values()] == [["1", "1", "false", "1", "cpu"]] * 2
        places = [one["cpus"] for one in seen.values()]
        assert [len(one) for one in places] == [1, 1]
        assert len(OWN) == 1 or places[0] != places[1]
        assert app.post("/free", {})[2]["cpus"] == OWN
        if len(OWN) > 1:
            pid = app.post("/leave", {})[2]
            eventually(lambda: app.events("worker.strayed", pid=pid))
            assert os.sched_getaffinity(pid) == set(seen[pid]["cpus"])

        slow = app.post("/eat", {"mib": 210})[2]
        [said] = eventually(lambda: app.events("worker.recycled", pid=slow) or app.events("worker.lost", pid=slow))
        if said["event"] == "worker.recycled":  # else the kernel keeps the limit
            assert "`resources.memory` of 200 MiB" in app.events("worker.recycling", pid=slow)[0]["reason"]
        ends = eventually(lambda: [one["exit"] for one in app.service("s")["workers"] if one["exit"]])
        assert [end["kind"] for end in ends] == ["memory"]

        fast = app.post("/eat", {"mib": 1000})[2]
        [lost] = eventually(lambda: app.events("worker.lost", pid=fast))
        assert lost["kind"] == "memory"
        assert "`resources.memory` of 200 MiB" in lost["reason"]
        eventually(lambda: app.service("s")["ready"] == 2)
        assert app.post("/seen", {})[0] == 200


def everybody(app):
    """What the workers say of themselves, by their process ids."""
    with ThreadPoolExecutor(4) as clients:
        found = [one[2] for one in clients.map(lambda _: app.post("/seen", {}), range(4))]
    return {one["pid"]: one for one in found}
