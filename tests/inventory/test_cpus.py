"""How many CPUs there are: affinity, and quotas of both kinds of control groups."""

from __future__ import annotations

import os

import pytest

from bentod.inventory.cpus import cpus

TOP = "sys/fs/cgroup"


def v1(group, quota, period="100000", mount="cpu"):
    return {f"{TOP}/{mount}/{group}/cpu.cfs_quota_us": quota, f"{TOP}/{mount}/{group}/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("", {}, 4.0),
        ("0::/\n", {f"{TOP}/cpu.max": "max 100000\n"}, 4.0),
        ("0::/\n", {f"{TOP}/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {f"{TOP}/cpu.max": "1600000 100000\n"}, 4.0),
        ("0::/a/b\n", {f"{TOP}/a/b/cpu.max": "max 100000\n", f"{TOP}/a/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/a/b\n", {f"{TOP}/a/b/cpu.max": "50000 100000\n", f"{TOP}/a/cpu.max": "200000 100000\n"}, 0.5),
        ("0::/elsewhere/in/docker\n", {f"{TOP}/cpu.max": "25000 50000\n"}, 0.5),
        ("0::/\n", {f"{TOP}/cpu.max": "nonsense\n"}, 4.0),
        ("0::/\n", {f"{TOP}/cpu.max": "100000 0\n"}, 4.0),
        ("4:cpu:/x\n", v1("x", "150000\n"), 1.5),
        ("4:cpu,cpuacct:/x\n", v1("x", "-1\n"), 4.0),
        ("4:cpu,cpuacct:/x\n", v1("x", "300000\n"), 3.0),
        ("4:cpu,cpuacct:/x\n0::/x\n", v1("x", "300000\n", mount="cpu,cpuacct"), 3.0),
        ("4:cpu,cpuacct:/docker/x\n", v1(".", "200000\n"), 2.0),
        ("4:memory:/x\n", v1("x", "100000"), 4.0),
    ],
)
def test_the_least_counts(tmp_path, own, files, count):
    for name, text in {"proc/self/cgroup": own, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpus(tmp_path, {5, 1, 2, 9}) == (count, (1, 2, 5, 9))


def test_the_affinity_of_this_process_is_known(tmp_path):
    assert cpus(tmp_path) == (float(len(os.sched_getaffinity(0))), tuple(sorted(os.sched_getaffinity(0))))
