"""What memory this host has, and has left: the least of what the system and each control group say."""

from __future__ import annotations

import pytest

from bentod.inventory.memory import available_memory, total_memory

V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
SPARE = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    1000 kB\n"}
MIB = 1024 * 1000


@pytest.fixture
def host(tmp_path):
    def write(own="", **files):
        for name, text in {**SPARE, "proc/self/cgroup": own, **files.get("files", {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return available_memory(tmp_path)

    return write


def v2(group, most, used, stat=""):
    place = f"{V2}/{group}".rstrip("/")
    return {f"{place}/memory.max": most, f"{place}/memory.current": used, f"{place}/memory.stat": stat}


def v1(group, most, used, stat=""):
    place = f"{V1}/{group}".rstrip("/")
    return {
        f"{place}/memory.limit_in_bytes": most,
        f"{place}/memory.usage_in_bytes": used,
        f"{place}/memory.stat": stat,
    }


@pytest.mark.parametrize(
    ("own", "files", "left"),
    [
        ("", {}, MIB),
        ("0::/\n", v2("", "500\n", "200\n"), 300),
        ("0::/\n", v2("", "max\n", "200\n"), MIB),
        ("0::/\n", v2("", "500\n", "900\n"), 0),
        ("0::/a.slice/b.service\n", v2("a.slice/b.service", "max", "1") | v2("a.slice", "700", "100"), 600),
        ("0::/a.slice/b.service\n", v2("a.slice/b.service", "50", "10") | v2("a.slice", "700", "100"), 40),
        ("0::/elsewhere/in/docker\n", v2("", "500", "100"), 400),
        ("0::/../out\n", v2("", "500", "100"), 400),
        ("0::/\n", v2("", "500", "500", "anon 1\ninactive_file 123\nactive_file 7\n"), 123),
        ("0::/\n", v2("", "500", "500", "inactive_file much\n"), 0),
        ("4:cpu,memory:/x\n0::/x\n", v1("x", "500", "100"), 400),
        ("4:memory:/x\n", v1("x", "500", "450", "inactive_file 1\ntotal_inactive_file 30\n"), 80),
        ("4:memory:/x\n", v1("x", "9223372036854771712", "100") | v1("", "9223372036854771712", "100"), MIB),
        ("4:cpu:/x\n", v1("x", "500", "100"), MIB),
        ("nonsense\n", v2("", "500", "100"), MIB),
    ],
)
def test_the_least_that_is_left_counts(host, own, files, left):
    assert host(own, files=files) == left


def test_a_limit_is_known_though_the_system_tells_nothing(host):
    assert host("0::/\n", files={**v2("", "500", "100"), "proc/meminfo": ""}) == 400
    assert host("4:memory:/\n", files={**v1("", "9223372036854771712", "1"), "proc/meminfo": "MemAvailable:\n"}) is None


def test_where_nothing_is_told_nothing_is_known(tmp_path):
    assert available_memory(tmp_path) is None


@pytest.mark.parametrize(
    ("own", "files", "total"),
    [
        ("", {}, 9 * MIB),
        ("0::/\n", v2("", "500\n", "200\n"), 500),
        ("0::/\n", v2("", "max\n", "200\n"), 9 * MIB),
        ("0::/a.slice/b.service\n", v2("a.slice/b.service", "700", "1") | v2("a.slice", "600", "100"), 600),
        ("4:memory:/x\n", v1("x", "500", "100"), 500),
        ("4:memory:/x\n", v1("x", "9223372036854771712", "100"), 9 * MIB),
        ("4:memory:/docker/x\n", v1("", "500", "100", "cache 1\nhierarchical_memory_limit 400\n"), 400),
        ("0::/\n", v2("", f"{100 * MIB}", "1"), 9 * MIB),
    ],
)
def test_all_that_may_be_used_is_the_narrowest_limit(host, tmp_path, own, files, total):
    host(own, files=files)
    assert total_memory(tmp_path) == total


def test_the_total_of_a_system_that_tells_nothing_is_unknown(tmp_path):
    assert total_memory(tmp_path) is None
