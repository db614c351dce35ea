"""The systemd units: what systemd makes of them, and that no value of a spec can say more than itself."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.render.systemd import Service, Unwritable, units
from tests.support.daemon import eventually
from tests.support.systemd import manager, possible

PLAIN = Service(
    name="hello",
    version="1.0",
    listen=("127.0.0.1:3000",),
    command=("/usr/bin/python3", "-P", "-m", "bentod", "up", "-f", "/srv/hello/bentofile.yaml"),
    directory=Path("/tmp"),
    environ={"BENTOD_STATE": "/var/lib/hello"},
    runtime="bentod-12345678",
    writable=Path("/tmp"),
    user="alice",
    start_s=60.0,
    stop_s=60.0,
    socket=False,
    waits_for_reload=False,
)
USERS = replace(PLAIN, user="", runtime="")
needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def keys(texts):
    """The lines of units without the values."""
    return {
        name: [line if line.startswith(("[", "#")) else line.partition("=")[0] for line in text.split("\n")]
        for name, text in texts.items()
    }


def values(text, key):
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def the_service(service):
    return units(service)["bentod-hello.service"]


@needs_analyze
@pytest.mark.parametrize("socket", [False, True])
@pytest.mark.parametrize(
    "service", [PLAIN, USERS, replace(PLAIN, user="root", limits=True)], ids=["alice", "own", "root"]
)
def test_systemd_finds_nothing_wrong(tmp_path, service, socket):
    listen = (
        "127.0.0.1:80",
        "[::1]:3000",
        "0.0.0.0:3001",
        "unix:/run/a b%c.sock",
        "localhost:3002",
        "[fe80::1%lo]:3003",
    )
    texts = units(replace(service, socket=socket, listen=listen, user="root" if service.user else ""))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    kind = "--system" if service.user else "--user"
    paths = [str(tmp_path / name) for name in texts]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", kind, "verify", *paths]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_analyze
def test_what_systemd_thinks_of_the_hardening(tmp_path):
    path = tmp_path / "bentod-hello.service"
    path.write_text(the_service(PLAIN))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=50", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]


def test_a_daemon_whose_workers_have_limits_of_memory_may_divide_its_control_group():
    """`ProtectControlGroups` would make it read-only."""
    limited = the_service(replace(PLAIN, limits=True))
    assert values(limited, "Delegate") == ["cpu memory"]
    assert values(limited, "ProtectControlGroups") == []
    assert values(the_service(replace(USERS, limits=True)), "Delegate") == ["cpu memory"]
    assert values(the_service(PLAIN), "Delegate") == []
    assert values(the_service(PLAIN), "ProtectControlGroups") == ["yes"]


def test_workers_with_gpus_wait_for_the_driver():
    assert values(the_service(replace(PLAIN, gpus=True)), "After") == [
        "network-online.target nvidia-persistenced.service"
    ]
    assert "nvidia" not in "".join(values(the_service(PLAIN), "After"))


def test_times_follow_the_spec():
    text = the_service(replace(PLAIN, start_s=600.5, stop_s=100.0))
    assert values(text, "TimeoutStartSec") == ["661"]
    assert values(text, "TimeoutStopSec") == ["115"]


def test_a_daemon_may_bind_a_low_port_only_if_it_has_to():
    low = replace(PLAIN, listen=("unix:/run/a", "[::]:443"))
    assert values(the_service(low), "AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]
    assert values(the_service(low), "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert values(the_service(PLAIN), "CapabilityBoundingSet") == [""]
    assert values(the_service(replace(low, socket=True)), "AmbientCapabilities") == [""]


def test_a_unit_of_a_user_needs_no_rights_of_the_system():
    text = the_service(USERS)
    assert values(text, "WantedBy") == ["default.target"]
    assert not [line for line in text.splitlines() if line.startswith(("Protect", "User=", "Capability", "Runtime"))]


def test_the_socket_unit_has_every_address():
    listen = ("127.0.0.1:3000", "[::]:3001", "unix:/run/a b%c", "localhost:80", "[fe80::1%eth0]:81")
    text = units(replace(PLAIN, socket=True, listen=listen))["bentod-hello.socket"]
    assert values(text, "ListenStream") == [
        "127.0.0.1:3000",
        "[::]:3001",
        "/run/a b%%c",
        "127.0.0.1:80",
        "[fe80::1]:81%%eth0",
    ]
    assert values(text, "SocketUser") == ["alice"]
    assert "SocketMode" not in units(replace(PLAIN, socket=True))["bentod-hello.socket"]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "fd://3", "example.org:80", "unix:/run/a ", "unix:/run/a\\"])
def test_what_only_the_daemon_can_open_is_refused_in_words(address):
    with pytest.raises(Unwritable, match=r"a unit file|a socket unit cannot open"):
        units(replace(PLAIN, socket=True, listen=(address,)))


@pytest.mark.parametrize("path", ["/opt/a'b/python", '/opt/a"b/python', "/opt/a\\b/python", "/opt/a\nb/python"])
def test_a_program_that_systemd_cannot_start_is_refused(path):
    with pytest.raises(Unwritable):
        units(replace(PLAIN, command=(path, "-P")))


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\udce4"])
@pytest.mark.parametrize("where", ["directory", "command", "environ", "version", "writable"])
def test_what_a_line_cannot_hold_is_refused(where, char):
    bad = f"/a{char}ExecStart=/bin/evil"
    value = {
        "directory": Path(bad),
        "command": (*PLAIN.command, bad),
        "environ": {"BENTOD_RUN": bad},
        "version": bad,
        "writable": Path(bad),
    }[where]
    with pytest.raises(Unwritable):
        units(replace(PLAIN, **{where: value}))


ODD = st.text(st.one_of(st.sampled_from("\"'\\%$ ;#=[]\n\t:~-@!+|"), st.characters()), max_size=20)


@given(ODD, ODD, ODD, ODD, st.booleans())
def test_no_value_adds_a_line_or_a_key(version, folder, word, value, socket):
    service = replace(
        PLAIN,
        version=version,
        directory=Path(f"/{folder}"),
        writable=Path(f"/{folder}"),
        command=(*PLAIN.command, word),
        environ={"BENTOD_STATE": value},
        listen=(f"unix:/{word}", "127.0.0.1:1"),
        socket=socket,
    )
    try:
        made = units(service)
    except Unwritable:
        return
    expected = units(replace(PLAIN, listen=("unix:/a", "127.0.0.1:1"), socket=socket))
    assert keys(made) == keys(expected)
    assert not [line for text in made.values() for line in text.split("\n") if line.endswith("\\")]
    assert made == units(service)


WORDS = [
    "plain",
    "with space",
    " around ",
    "",
    '"',
    "'",
    "\\",
    "end\\",
    "$HOME ${HOME} $$",
    "%h %% %n",
    ";",
    "# no comment",
    "@x",
    "-x",
    "!x",
    "+x",
    ":x",
    "a=b",
    "\\x41\\n\\101",
    "\u00e4\u20ac\U0001f371",
    "[x]",
    "|",
    "~",
]
TOLD = (
    "import json, os, pathlib, socket, sys, signal\n"
    "said = [sys.argv[2:], os.environ['WORD'], os.getcwd(), os.environ.get('BENTOD_STATE')]\n"
    "pathlib.Path(sys.argv[1]).write_text(json.dumps(said))\n"
    "end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "end.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\n"
    "signal.pause()\n"
)


def test_systemd_reads_every_word_as_it_was_meant(tmp_path):
    """A program with odd words, in an odd folder, with odd variables, is started by a real systemd."""
    if not possible():
        pytest.skip("no systemd as a user's manager here")
    (tmp_path / "told.py").write_text(TOLD)
    (tmp_path / "units").mkdir()
    odd = [word for word in WORDS if word not in ("", "~")]
    for index, word in enumerate(odd):
        folder = tmp_path / f"folder{word}"
        folder.mkdir()
        command = ("/usr/bin/python3", str(tmp_path / "told.py"), str(tmp_path / f"{index}.json"), *WORDS)
        environ = {"WORD": word, "BENTOD_STATE": "/x" + word}
        made = units(
            replace(USERS, name=f"n{index}", command=command, environ=environ, directory=folder, writable=folder)
        )
        [(name, text)] = made.items()
        (tmp_path / "units" / name).write_text(text)
    with manager(tmp_path / "units") as found:
        found.systemctl("start", *(f"bentod-n{index}.service" for index in range(len(odd))))
        for index, word in enumerate(odd):
            path = tmp_path / f"{index}.json"
            assert json.loads(path.read_text()) == [WORDS, word, str(tmp_path / f"folder{word}"), "/x" + word]


def test_a_system_unit_s_paths_are_read_as_they_were_meant(tmp_path):
    if not possible():
        pytest.skip("no systemd as a user's manager here")
    (tmp_path / "units").mkdir()
    odd = [word for word in WORDS if word not in ("", " around ")]
    for index, word in enumerate(odd):
        service = replace(PLAIN, name=f"n{index}", writable=Path(f"/x{word}"), version=word)
        for name, text in units(service).items():
            (tmp_path / "units" / name).write_text(text)
    with manager(tmp_path / "units") as found:
        for index, word in enumerate(odd):
            unit = f"bentod-n{index}.service"
            assert found.show(unit, "Description") == f"n{index} {word} (bentod)"
            assert found.show(unit, "ReadWritePaths").removeprefix('"').startswith("-/x")
            assert found.show(unit, "RuntimeDirectory") == "bentod-12345678"
            eventually(lambda unit=unit: found.show(unit, "LoadState") == "loaded", 5)
