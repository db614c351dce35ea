"""Files → a complete Spec, or every problem."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentod.errors import SpecError
from bentod.spec.load import find, load
from bentod.spec.model import Hooks, Restart
from tests.support.specs import BAD, BASE, laid_over, loaded, places, problems, write

ROOT = Path(__file__).parents[2]


def test_a_small_spec_is_completed_with_defaults(tmp_path):
    found = loaded(tmp_path, BASE)
    spec, service, api, server = found.spec, found.spec.services["s"], found.spec.apis["greet"], found.spec.server
    assert (spec.bentod, spec.name, spec.version, spec.env) == (1, "app", "0.0.0", {})
    assert (service.target, service.workers, service.threads, service.concurrency) == ("hello", 1, 1, 100)
    assert (service.init, service.hooks, service.start_timeout_s, service.stop_timeout_s) == ({}, Hooks(), 60.0, 30.0)
    restart = service.restart
    assert restart == Restart()
    assert (restart.delay_s, restart.factor, restart.max_delay_s, restart.window_s, restart.limit) == (
        0.2,
        2,
        30,
        300,
        10,
    )
    assert (api.service, api.method, api.route, api.takes, api.timeout_s, api.queue) == (
        "s",
        "greet",
        "/greet",
        "item",
        30,
        256,
    )
    assert (api.input, api.output, api.max_body, api.retry, api.output_check, api.examples) == (
        True,
        True,
        None,
        True,
        True,
        (),
    )
    assert (server.listen, server.path_prefix, server.gateways, server.max_body) == (
        ("127.0.0.1:3000",),
        "",
        1,
        16 * 2**20,
    )
    assert (server.header_timeout_s, server.body_timeout_s, server.keep_alive_s, server.drain_timeout_s) == (
        10,
        60,
        75,
        30,
    )
    assert found.directory == tmp_path
    assert found.files == (tmp_path / "bentofile.yaml",)


def test_quantities_become_seconds_and_bytes(tmp_path):
    extra = {
        "apis": {"greet": {"timeout": "250ms", "max_body": "512KiB"}},
        "server": {"max_body": "1.5MB", "keep_alive": "2m"},
    }
    spec = loaded(tmp_path, laid_over(BASE, extra)).spec
    assert (spec.apis["greet"].timeout_s, spec.apis["greet"].max_body) == (0.25, 512 * 1024)
    assert (spec.server.max_body, spec.server.keep_alive_s) == (1_500_000, 120.0)


def test_a_value_is_frozen(tmp_path):
    spec = loaded(tmp_path, BASE).spec
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"


@pytest.mark.parametrize(("extra", "path"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_problem_at_its_path(tmp_path, extra, path):
    found = problems(tmp_path, laid_over(BASE, extra))
    assert [problem.path for problem in found] == [path]


@pytest.mark.parametrize("name", [name for name in BAD if "later" in name])
def test_what_comes_later_is_not_supported(tmp_path, name):
    [problem] = problems(tmp_path, laid_over(BASE, BAD[name][0]))
    assert problem.code == "not-supported"
    assert "not supported by this version" in problem.message


def test_a_hundred_problems_are_all_reported_in_order(tmp_path):
    apis = "".join(f"  a{i:03}:\n    service: s\n    method: greet\n    timeout: {i}\n" for i in range(100))
    found = problems(tmp_path, f"bentod: 1\nname: app\nservices: {{s: {{target: hello}}}}\napis:\n{apis}")
    assert places(found) == [f"{8 + 4 * i}:14 apis.a{i:03}.timeout missing-unit" for i in range(100)]


def test_apis_with_the_same_target_share_an_implied_service(tmp_path):
    apis = {
        "a": {"target": "hello:greet"},
        "b": {"target": "hello:later"},
        "c": {"target": "hello:Model.run"},
        "d": {"target": "package/hello.py:greet"},
    }
    text = json.dumps({"bentod": 1, "name": "app", "apis": apis})
    spec = loaded(tmp_path, text, **{"package/hello.py": "def greet(): ..."}).spec
    assert {name: service.target for name, service in spec.services.items()} == {
        "hello": "hello", "hello:Model": "hello:Model", "package.hello": "package/hello.py",
    }  # fmt: skip
    assert [(api.service, api.method) for api in spec.apis.values()] == [
        ("hello", "greet"), ("hello", "later"), ("hello:Model", "run"), ("package.hello", "greet"),
    ]  # fmt: skip


def test_an_implied_service_may_be_the_written_one_but_not_another(tmp_path):
    apis = {"a": {"target": "hello:greet"}}
    assert not problems(tmp_path, laid_over(BASE, {"services": {"hello": {"target": "hello"}}, "apis": apis}))
    services = {"hello": {"target": "hello:Model"}}
    assert [p.code for p in problems(tmp_path, laid_over(BASE, {"services": services, "apis": apis}))] == [
        "duplicate-service"
    ]


def test_the_method_of_a_function_is_its_name(tmp_path):
    spec = loaded(
        tmp_path, {**BASE, "services": {"s": {"target": "hello:greet"}}, "apis": {"other": {"service": "s"}}}
    ).spec
    assert (spec.apis["other"].method, spec.apis["other"].route) == ("greet", "/other")


def test_an_unused_service_is_fine(tmp_path):
    assert not problems(tmp_path, laid_over(BASE, {"services": {"t": {"target": "hello:Model"}}}))


def test_files_are_merged_left_to_right(tmp_path):
    first = write(
        tmp_path,
        {"bentofile.yaml": json.dumps(laid_over(BASE, {"env": {"A": "1", "B": "1"}, "server": {"listen": "[::1]:1"}}))},
    )
    second = write(
        tmp_path, {"sub/prod.toml": 'env.B = "2"\nserver.listen = ["127.0.0.1:2", "fd://3"]\nenv_files = ["x.env"]\n'}
    )
    (tmp_path / "sub/x.env").write_text("X=1")
    found = load([first, second], {})
    assert found.spec.env == {"A": "1", "B": "2"}
    assert found.spec.server.listen == ("127.0.0.1:2", "fd://3")
    assert found.env_file_values == {"X": "1"}
    assert found.directory == tmp_path
    assert found.origins["env.A"].file == str(first)
    assert (found.origins["env.B"].file, found.origins["env.B"].line) == (str(second), 1)


def test_a_file_target_is_relative_to_the_file_that_names_it(tmp_path):
    first = write(tmp_path, {"bentofile.yaml": json.dumps(BASE)})
    second = write(tmp_path, {"sub/more.yaml": "services: {t: {target: 'x.py:f'}}", "sub/x.py": "def f(): ..."})
    assert load([first, second], {}).spec.services["t"].target == "sub/x.py:f"


def test_the_process_comes_before_env_files_and_later_files_before_earlier(tmp_path):
    extra = {"env_files": ["a.env", "b.env"], "env": {"X": "${A} ${B} ${C}"}}
    files = {"a.env": "A=a\nB=a\nC=a", "b.env": "B=b\nC=b"}
    found = loaded(tmp_path, laid_over(BASE, extra), {"C": "process"}, **files)
    assert found.spec.env == {"X": "a b process"}
    assert found.env_file_values == {"A": "a", "B": "b", "C": "b"}


def test_problems_of_env_files_are_at_their_own_lines(tmp_path):
    found = problems(tmp_path, laid_over(BASE, {"env_files": ["a.env", "none.env"]}), **{"a.env": "A=1\nwhat is this"})
    assert [(Path(p.file).name, p.line, p.code) for p in found] == [
        ("a.env", 2, "syntax"),
        ("bentofile.yaml", 1, "missing-file"),
    ]


def test_interpolated_text_is_read_as_what_is_wanted(tmp_path):
    extra = {
        "services": {"s": {"workers": "${N}", "restart": {"factor": "${F}"}}},
        "apis": {"greet": {"retry": "${R}", "timeout": "${T}", "input": {"pattern": "^\\$"}}},
    }
    spec = loaded(tmp_path, laid_over(BASE, extra), {"N": "3", "F": "1.5", "R": "false", "T": "5s"}).spec
    assert (spec.services["s"].workers, spec.services["s"].restart.factor) == (3, 1.5)
    assert (spec.apis["greet"].retry, spec.apis["greet"].timeout_s) == (False, 5.0)
    assert spec.apis["greet"].input == {"pattern": "^\\$"}


def test_a_number_that_is_written_as_text_stays_an_error(tmp_path):
    assert [p.code for p in problems(tmp_path, laid_over(BASE, {"services": {"s": {"workers": "3"}}}))] == [
        "wrong-type"
    ]


def test_values_of_the_environment_are_never_told(tmp_path):
    secret = "hunter2!hunter2"
    texts = {
        "name": "${S}", "version": "${S}\t", "env": {"A": "${S}", "B-C": "${S}"},
        "services": {"s": {"target": "${S}"}, "t": {"target": "x/${S}.py", "workers": "${S}", "start_timeout": "${S}"}},
        "apis": {
            "greet": {"service": "${S}", "method": "${S}", "route": "${S}", "max_body": "${S}", "takes": "${S}"},
            "b": {"target": "hello:${S}"}, "c": {"target": "${S}"}, "d": {"service": "t", "route": "/${S}"},
        },
        "server": {"listen": ["${S}", "unix:${S}"], "path_prefix": "${S}", "docs": "${S}"},
        "env_files": ["${S}"],
    }  # fmt: skip
    found = problems(tmp_path, laid_over(BASE, texts), {"S": secret})
    assert len(found) > 12
    assert not [p for p in found if secret in p.message + p.hint + p.path]


def test_extension_keys_are_ignored_everywhere(tmp_path):
    text = json.dumps(BASE).replace("{", '{"x-note": [1, {"x": null}], ')
    assert loaded(tmp_path, text).spec == loaded(tmp_path, BASE).spec


def test_the_users_own_data_keeps_its_keys(tmp_path):
    extra = {
        "services": {"s": {"target": "hello:Model", "init": {"a": {"x-b": 1}}}},
        "apis": {"greet": {"method": "run", "input": {"x-c": 1}, "examples": [{"name": "a", "input": {"x-d": 1}}]}},
    }
    spec = loaded(tmp_path, laid_over(BASE, extra)).spec
    assert spec.services["s"].init == {"a": {"x-b": 1}}
    assert spec.apis["greet"].input == {"x-c": 1}
    assert spec.apis["greet"].examples[0].input == {"x-d": 1}


def test_a_missing_output_is_not_null(tmp_path):
    examples = [{"name": "a", "input": 1}, {"name": "b", "input": 1, "output": None}]
    spec = loaded(tmp_path, laid_over(BASE, {"apis": {"greet": {"examples": examples}}})).spec
    assert [example.has_output for example in spec.apis["greet"].examples] == [False, True]


def test_what_config_prints_loads_to_the_same_spec(tmp_path):
    found = load([ROOT / "bentofile.example.yaml"], {})
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    again = problems(tmp_path, found.resolved)
    assert {p.code for p in again} <= {"outside-project"}  # the link to the examples
    data = {
        **BASE,
        "apis": {"a": {"target": "hello:greet", "examples": [{"name": "x", "input": None, "output": None}]}},
    }
    first = loaded(tmp_path, data)
    assert loaded(tmp_path, first.resolved).spec == first.spec


def test_a_broken_section_does_not_hide_what_is_wrong_elsewhere(tmp_path):
    text = """\
bentod: 1
name: app
services:
  s: {target: hello, workers: none}
apis:
  a: {service: s, method: nope, timeout: 3}
  b: {service: s, method: greet, route: /x, queue: -1}
  c: {service: s, method: greet, route: /x, input: {type: integer}, examples: [{name: 1, input: x}]}
"""
    assert places(problems(tmp_path, text)) == [
        "4:31 services.s.workers wrong-type",
        "6:27 apis.a.method missing-attribute",
        "6:42 apis.a.timeout missing-unit",
        "7:52 apis.b.queue wrong-value",
        "8:41 apis.c.route duplicate-route",
        "8:87 apis.c.examples[0].name wrong-type",
        "8:97 apis.c.examples[0].input example-mismatch",
    ]


def test_nothing_is_nothing_in_any_unit(tmp_path):
    text = "bentod: 1\nname: app\nserver: {drain_timeout: 0}\napis: {greet: {target: hello:greet, timeout: 0}}\n"
    assert places(problems(tmp_path, text)) == ["4:46 apis.greet.timeout missing-unit"]


def test_links_that_leave_the_project_are_refused(tmp_path):
    outside = tmp_path / "outside.py"
    outside.write_text("def f(): ...")
    project = tmp_path / "project"
    project.mkdir()
    (project / "linked.py").symlink_to(outside)
    services = {"s": {"target": "linked.py"}, "t": {"target": "linked"}}
    found = problems(project, {**BASE, "services": services, "apis": {"f": {"service": "s"}}})
    assert [(p.path, p.code) for p in found] == [
        ("services.s.target", "outside-project"),
        ("services.t.target", "outside-project"),
    ]


@pytest.mark.parametrize(
    "target", ["json:dumps", "math:sqrt", "os.path:join", "collections:OrderedDict.pop", "xml.etree.ElementTree:parse"]
)
def test_targets_of_the_standard_library_are_found(tmp_path, target):
    assert not problems(tmp_path, {"bentod": 1, "name": "app", "apis": {"a": {"target": target}}})


@pytest.mark.parametrize(
    ("listen", "fine"),
    [
        ("127.0.0.1:0", True), ("0.0.0.0:80", True), ("localhost:3000", True), ("my-host.example:65535", True),
        ("[::]:80", True),
        ("[fe80::1%eth0]:80", True), ("unix:/tmp/x.sock", True), ("fd://3", True), ("unix:/" + "x" * 99, True),
        ("unix:/" + "x" * 100, False), ("unix:x.sock", False), ("unix:/tmp/", False), ("fd://0", False),
        ("fd://x", False), ("::1:80", False), ("127.0.0.1", False), ("127.0.0.1:65536", False),
        ("127.0.0.300:80", False), ("[::g]:80", False), ("host name:80", False), (":80", False),
        ("http://x:80", False), ("", False), ([], False), (["fd://3", "fd://3"], False),
    ],
)  # fmt: skip
def test_what_is_an_address(tmp_path, listen, fine):
    assert (problems(tmp_path, laid_over(BASE, {"server": {"listen": listen}})) == []) is fine


def test_the_spec_of_a_folder_is_found(tmp_path):
    with pytest.raises(SpecError, match="no bentofile") as none:
        find(tmp_path)
    assert "`-f FILE`" in none.value.problems[0].hint
    (tmp_path / "bentofile.toml").touch()
    assert find(tmp_path) == tmp_path / "bentofile.toml"
    (tmp_path / "bentofile.yml").touch()
    with pytest.raises(SpecError, match=r"`bentofile\.yml` and `bentofile\.toml` are both"):
        find(tmp_path)


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    with pytest.raises(SpecError, match="does not exist"):
        load([tmp_path / "nope.yaml"], {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), toml=st.booleans())
def test_random_bytes_only_ever_are_problems(tmp_path, data, toml):
    path = tmp_path / ("x.toml" if toml else "x.yaml")
    path.write_bytes(data)
    with pytest.raises(SpecError):
        load([path], {})


JUNK_KEYS = ["target", "service", "input", "type", "$ref", "examples", "name", "x-y", "a"]
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["hello", "s", "/x", "5s", "${X}", "$", "", "#/types/T"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(JUNK_KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["bentod", "name", "env", "env_files", "types", "services", "apis", "server", "labels", "models"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    extra=st.dictionaries(
        KEYS, JUNK | st.dictionaries(st.sampled_from(["s", "greet", "listen"]), JUNK, max_size=2), max_size=3
    )
)
def test_junk_at_any_key_only_ever_is_problems(tmp_path, extra):
    found = problems(tmp_path, laid_over(BASE, extra))
    assert all(problem.message and problem.line for problem in found)


def test_loading_a_good_spec_imports_nothing_that_is_slow():
    code = (
        "import sys, pathlib; from bentod.spec.load import load;"
        "load([pathlib.Path('specs/hello/bentofile.yaml')], {});"
        "print([m for m in ('jsonschema', 'dotenv', 'pydantic_settings', 'asyncio', 'hello') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_recycle_must_say_when(tmp_path):
    [problem] = problems(tmp_path, laid_over(BASE, {"services": {"s": {"recycle": {}}}}))
    assert (problem.code, problem.message) == ("missing-key", "`recycle` does not say when")
    assert problem.hint == "at least one of `max_calls`, `max_age`, `max_memory`, or leave it out"
