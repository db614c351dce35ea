"""Every spec that bentod ships is valid and does what it says; the same for what README shows."""

import base64
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.support.daemon import running
from tests.support.examples import FOLDERS, ROOT, TOUR, named, on_this_host, require

SPECS = [*(folder / "bentofile.yaml" for folder in FOLDERS), ROOT / "specs/hello/hello.toml"]
SCHEMA = ROOT / "schemas/bentofile.schema.json"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def validate(*words, cwd=ROOT):
    command = [sys.executable, "-m", "bentod", "validate", "--format", "json", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"] is True


def near(answer, wanted, tolerance):
    """Whether two JSON values are equal, numbers up to `tolerance`."""
    match wanted:
        case dict():
            return set(answer) == set(wanted) and all(near(answer[key], wanted[key], tolerance) for key in wanted)
        case list():
            return len(answer) == len(wanted) and all(map(near, answer, wanted, [tolerance] * len(wanted)))
        case bool() | str() | None:
            return answer == wanted
        case _:
            return abs(answer - wanted) <= tolerance


def test_the_examples_that_readme_names_are_there():
    assert set(re.findall(r"\]\(specs/([a-z-]+)\)", README)) == {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_an_example_has_a_readme_requirements_and_a_test(folder):
    assert (folder / "README.md").is_file()
    assert (folder / "requirements.txt").is_file()
    assert list(folder.glob("test_*.py"))


@pytest.mark.parametrize("spec", SPECS, ids=named)
def test_an_example_leads_the_editor_to_the_schema(spec):
    first = spec.read_text(encoding="utf-8").splitlines()[0]
    assert (spec.parent / re.split(r"schema[ =]", first, maxsplit=1)[1]).resolve() == SCHEMA


def test_module_names_are_unique_among_the_examples():
    modules = [path.name for path in (ROOT / "specs").glob("*/*.py")]
    assert len(modules) == len(set(modules))


def test_hello_says_the_same_in_yaml_and_toml():
    folder = ROOT / "specs/hello"
    in_yaml = yaml.safe_load((folder / "bentofile.yaml").read_text(encoding="utf-8"))
    assert tomllib.loads((folder / "hello.toml").read_text(encoding="utf-8")) == in_yaml


@pytest.mark.parametrize("spec", [*SPECS, TOUR], ids=named)
def test_a_spec_is_valid_without_importing(spec):
    validate("--no-import", "-f", spec)


@pytest.mark.parametrize("overlay", sorted(ROOT.glob("specs/*/cpu.yaml")), ids=named)
def test_a_spec_is_valid_with_what_differs_without_a_gpu(overlay):
    validate("--no-import", "-f", overlay.parent / "bentofile.yaml", "-f", overlay)


@pytest.mark.parametrize("spec", SPECS, ids=named)
def test_a_spec_fits_its_code(spec):
    require(spec.parent)
    validate("-f", spec)


@pytest.fixture(scope="module", params=SPECS, ids=named)
def served(request):
    """A spec's path, and the daemon that serves it."""
    require(request.param.parent)
    folder = request.param.parent
    with running(folder, spec=request.param.name, overlay=on_this_host(folder)) as app:
        yield request.param, app


def filled_in(value, folder):
    """An example's value with what is in the files that it names as `@path`."""
    match value:
        case dict():
            return {key: filled_in(item, folder) for key, item in value.items()}
        case list():
            return [filled_in(item, folder) for item in value]
        case str() if value.startswith("@") and (folder / value[1:]).is_file():
            return base64.b64encode((folder / value[1:]).read_bytes()).decode()
        case _:
            return value


def chunks(api, answer):
    """The answer to a call; of a stream, the list of its chunks."""
    match api.get("stream"):
        case "sse":
            lines = answer.decode().partition("event: end")[0].splitlines()
            return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        case "ndjson":
            return [json.loads(line) for line in answer.splitlines()]
        case "raw":
            return answer.decode()
        case _:
            return answer


@pytest.mark.e2e
def test_the_examples_in_a_spec_hold(served):
    path, app = served
    text = path.read_text(encoding="utf-8")
    spec = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    for name, api in spec["apis"].items():
        assert api["examples"], f"{name} has no example"
        for example in api["examples"]:
            status, _, answer = app.post(api.get("route", f"/{name}"), filled_in(example["input"], path.parent))
            assert status == 200, answer
            found = chunks(api, answer)
            assert found
            if "output" in example:
                assert near(found, example["output"], example.get("tolerance", 0)), (name, example["name"], found)


@pytest.mark.e2e
def test_the_examples_in_the_annotated_spec_hold():
    with running(ROOT, spec=TOUR.name) as app:
        _, _, document = app.get("/v1/openapi.json")
        calls = [(path, each["post"]) for path, each in document["paths"].items() if "post" in each]
        for path, operation in calls:
            wanted = operation["responses"]["200"]["content"].get("application/json", {}).get("examples", {})
            for name, example in operation["requestBody"]["content"]["application/json"].get("examples", {}).items():
                status, _, answer = app.post(path, example["value"], {"accept": "*/*"})
                assert status == 200, (path, name, answer)
                assert name not in wanted or near(answer, wanted[name]["value"], 0), (path, name, answer)


MISTAKES = {"hello": ["422"]}  # what a README shows going wrong


@pytest.mark.e2e
def test_every_curl_in_an_examples_readme_is_answered(served):
    path, app = served
    text = (path.parent / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^curl .*$", text, re.MULTILINE)
    assert commands
    for command in commands:
        quiet = re.sub(r" -o \S+", "", command).replace("http://127.0.0.1:3000", app.url)
        quiet = quiet.replace("curl ", "curl --silent --output /dev/null --write-out '%{http_code}' ", 1)
        code = subprocess.run(["bash", "-c", quiet], cwd=path.parent, capture_output=True, text=True, check=True).stdout
        assert code in ["200", *MISTAKES.get(path.parent.name, [])], command


# ── every key is documented ──────────────────────────────────────────────────────────────────────


def sections(schema):
    """Every object schema in the published schema that names its properties."""
    return [part for part in [schema, *schema.get("$defs", {}).values()] if part.get("properties")]


def keys_of(value):
    """Every key of a decoded spec, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def test_every_key_has_a_description_in_the_schema():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    bare = [
        (section.get("title"), name)
        for section in sections(schema)
        for name, key in section["properties"].items()
        if not key.get("description")
    ]
    assert bare == []


def test_every_key_is_shown_in_the_annotated_spec():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    known = {name for section in sections(schema) for name in section["properties"]}
    assert known - keys_of(yaml.safe_load(TOUR.read_text(encoding="utf-8"))) == set()


# ── README ───────────────────────────────────────────────────────────────────────────────────────


def block(language):
    """The only code block of README in this language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return text


@pytest.fixture
def pasted(tmp_path):
    """A folder into which README's spec and module were pasted."""
    (tmp_path / "bentofile.yaml").write_text(block("yaml"))
    (tmp_path / "mood.py").write_text(block("python"))
    return tmp_path


def test_the_spec_in_readme_has_ten_lines_and_is_valid(pasted):
    assert len(block("yaml").splitlines()) == 10
    validate(cwd=pasted)


@pytest.mark.e2e
def test_the_curl_in_readme_gets_the_answer_that_readme_shows(pasted):
    with running(pasted) as app:
        command = block("sh").replace("http://127.0.0.1:3000", app.url)
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert f"answers `{answer}`" in README


def test_every_dependency_has_a_line_in_readme():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = [re.match(r"[a-z0-9_-]+", line).group() for line in project["project"]["dependencies"]]
    section = README.partition("## Dependencies")[2].partition("## ")[0]
    assert re.findall(r"^\| ([a-z0-9_-]+) \| \w", section, re.MULTILINE)[1:] == sorted(needed)
    tools = [re.match(r"[a-z0-9_-]+", line).group() for line in project["dependency-groups"]["dev"]]
    assert [name for name in tools if name not in section] == []


def test_every_folder_has_its_job_in_readme():
    jobs = README.partition("## Where to look")[2].partition("## ")[0]
    folders = [path.parent.name for path in (ROOT / "bentod").glob("*/__init__.py")]
    assert [name for name in folders if f"`bentod/{name}`" not in jobs] == []


def test_every_dependency_is_pinned_with_a_hash_and_names_no_host():
    for path in [*sorted((ROOT / "constraints").glob("*.txt")), ROOT / "specs/embeddings/requirements-lock.txt"]:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert [line for line in lines if not re.match(r"[a-z0-9-]+==|    --hash=sha256:[0-9a-f]{64}", line)] == []
        assert not any("://" in line for line in lines)
