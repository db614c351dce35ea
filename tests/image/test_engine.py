"""Docker's engine asked through its API: what it is told, and what is made of its answers, broken ones included."""

import json
import threading

import pytest

from bentod.image import engine
from bentod.image.choose import chosen, described
from bentod.image.context import ContextError, Entry, made, text
from bentod.image.engine import Engine, address
from bentod.image.order import BuildFailed, Image, Layer, NoEngine, Order
from tests.support.buildkit import line, printed, traced, vertex
from tests.support.docker_api import IMAGE, docker_api

STEP = "sha256:" + "a" * 64
FILES = made([text("Dockerfile", "FROM scratch\n"), text("src/model.py", "x = 1\n")])
BUILT = line(id="moby.image.id", aux={"ID": IMAGE})


def order(**given):
    return Order(**{"context": FILES, "dockerfile": "FROM scratch\n", "tags": ("app:1", "app:2"), **given})


def built(api, given=None):
    """The image that an engine builds, and what was told meanwhile."""
    lines = []
    builder = chosen("docker", given or order(), api.environ)
    return builder.build(given or order(), lines.append), lines


def answering(*pieces, ended=True):
    return docker_api(lambda handler: handler.stream(*pieces, ended=ended))


def test_an_image_is_built_and_told_live():
    progress = traced(vertex(STEP, "[1/1] RUN x", started=1), printed(STEP, b"hello\n"))
    with answering(
        progress, traced(vertex(STEP, "", started=1, completed=3)), BUILT, line(stream="Successfully tagged app:1\n")
    ) as api:
        image, lines = built(
            api, order(platforms=("linux/amd64",), no_cache=True, build_args={"A": "é$"}, network="host")
        )
        assert api.context() == {"Dockerfile": b"FROM scratch\n", "src/model.py": b"x = 1\n"}
        assert api.queries == [
            {
                "version": ["2"],
                "dockerfile": ["Dockerfile"],
                "t": ["app:1", "app:2"],
                "platform": ["linux/amd64"],
                "buildargs": [json.dumps({"A": "é$"})],
                "nocache": ["1"],
                "networkmode": ["host"],
            }
        ]
    assert lines == ["#1 [1/1] RUN x", "#1 hello", "#1 done in 2.0 s", "Successfully tagged app:1"]
    assert (image.id, image.size) == (IMAGE, 3_000_007)
    assert image.layers == (Layer("imported", 3_000_000), Layer("COPY src/ /app/", 7))


def test_a_step_that_fails_is_an_error_with_its_reason():
    failed = traced(vertex(STEP, "RUN x", started=1, completed=2, error="exit code: 7"))
    with (
        answering(failed, line(errorDetail={"message": "RUN x: exit code: 7"}, error="x")) as api,
        pytest.raises(BuildFailed) as told,
    ):
        built(api)
    assert str(told.value) == "the image cannot be built: RUN x: exit code: 7"


@pytest.mark.parametrize(
    ("pieces", "ended", "said"),
    [
        ((), True, "without an image"),
        ((line(stream="x"),), False, "broke off"),
        ((b'{"stream":',), True, "no JSON"),
        ((b"<html>\n",), True, "no JSON"),
        ((b"[]\n",), True, "no message"),
        ((line(id="moby.buildkit.trace", aux="!!!"),), True, "progress cannot be read"),
        ((line(id="moby.buildkit.trace", aux="////"),), True, "progress cannot be read"),
        ((line(aux={"ID": 5}),), True, "without an image"),
        ((line(error="\x1b[2Jevil\nFROM x"),), True, "cannot be built: ·\\[2Jevil·FROM x"),
    ],
)
def test_a_broken_answer_is_an_error_in_words(pieces, ended, said):
    with answering(*pieces, ended=ended) as api, pytest.raises(BuildFailed, match=said):
        built(api)


@pytest.mark.parametrize("body", [b'{"message":"dockerfile parse error"}', b"<html>", b"", b"[1]", b"\xff"])
def test_an_engine_that_refuses_is_quoted_where_it_can_be(body):
    with (
        docker_api(lambda handler: handler.answer(body, 500)) as api,
        pytest.raises(BuildFailed, match="refuses to build"),
    ):
        built(api)


def test_an_engine_that_hangs_up_while_it_is_given_the_context_is_told():
    def hang_up(handler):
        handler.close_connection = True

    with docker_api(hang_up) as api, pytest.raises(BuildFailed, match="broke off"):
        built(api)


def test_an_engine_may_take_its_time_over_the_context(monkeypatch):
    """It has answered already, so only to find it there is a limit as short."""
    monkeypatch.setattr("bentod.image.engine._CONNECT_S", 0.2)
    large = order(context=made([*FILES.entries, Entry("src/weights", bytes(8_000_000), 8_000_000)]))
    with answering(BUILT) as api:
        api.reads_after_s = 0.6
        image, _ = built(api, large)
    assert image.id == IMAGE


def test_an_engine_behind_ssh_is_told_to_be_out_of_reach_and_what_reaches_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoEngine, match=r"through ssh.*`--backend buildx`"):
        Engine({"DOCKER_HOST": "ssh://nobody@127.0.0.1:1"})


def test_what_an_engine_calls_its_image_is_shown_without_control_characters():
    with answering(line(aux={"ID": "x\x1b[2J\n"})) as api:
        _, lines = built(api)
    assert "the engine does not describe x·[2J·: " in lines[-1]


def test_a_file_that_is_gone_ends_the_build_and_the_engine_gets_no_whole_context(tmp_path):
    broken = order(context=made([text("Dockerfile", "FROM scratch\n"), Entry("src/x", tmp_path / "gone", 5)]))
    with answering(BUILT) as api:
        with pytest.raises(ContextError, match="gone"):
            built(api, broken)
        assert api.queries in ([], [{"version": ["2"], "dockerfile": ["Dockerfile"], "t": ["app:1", "app:2"]}])
        assert api.contexts == []


def test_images_that_are_not_there_are_pulled_first_for_the_platform():
    text_ = (
        "FROM python:3.11-slim-bookworm AS a\nFROM reg.example.com/base@sha256:"
        + "1" * 64
        + "\nCOPY --from=a /x /x\nFROM other\n"
    )
    with answering(BUILT) as api:
        api.pull_says = [{"status": "Pulling", "id": "x"}, {"status": "Downloading", "progress": "[=>]"}]
        _, lines = built(api, order(dockerfile=text_, platforms=("linux/arm64",)))
        assert [(one["fromImage"], one.get("tag"), one["platform"]) for one in api.pulled] == [
            ("reg.example.com/base", "sha256:" + "1" * 64, "linux/arm64"),
            ("other", "latest", "linux/arm64"),
        ]
    assert lines[:2] == ["pulling reg.example.com/base@sha256:" + "1" * 64, "x: Pulling"]


def test_a_base_that_cannot_be_pulled_is_named():
    with answering(BUILT) as api:
        api.pull_says = [{"errorDetail": {"message": "no route to host"}, "error": "x"}]
        with pytest.raises(BuildFailed, match=r"other, which the build starts from.*no route to host"):
            built(api, order(dockerfile="FROM other\n"))


def test_every_tag_is_pushed_and_a_refused_push_is_an_error():
    with answering(BUILT) as api:
        built(api, order(push=True, tags=("reg.example.com/a:1", "localhost:5000/b:2")))
        assert api.pushed == ["reg.example.com/a:1", "localhost:5000/b:2"]
        api.push_says = [{"error": "denied"}]
        with pytest.raises(BuildFailed, match="`app:1` cannot be pushed: denied"):
            built(api, order(push=True))


@pytest.mark.parametrize(
    "host", ["unix:///nowhere/s", "tcp://127.0.0.1:1", "what://x", "http://[", "ssh://nobody@127.0.0.1:1"]
)
def test_an_engine_that_is_not_there_is_told_with_where_it_was_looked_for(host):
    with pytest.raises(NoEngine) as told:
        Engine({"DOCKER_HOST": host})
    assert str(told.value).startswith(f"docker at {host}: ")
    assert "\n" not in str(told.value)


def test_an_engine_for_one_platform_builds_no_two():
    with pytest.raises(NoEngine, match="one platform at a time"):
        chosen("docker", order(platforms=("linux/amd64", "linux/arm64")), {})


def test_a_dry_run_says_what_would_be_asked():
    lines = described("docker", order(push=True), {"DOCKER_HOST": "unix:///s"})
    assert lines == (
        "POST /build?version=2&dockerfile=Dockerfile&t=app%3A1&t=app%3A2 < CONTEXT.tar, to docker at unix:///s",
        "POST /images/app:1/push",
        "POST /images/app:2/push",
    )


def test_where_an_engine_is_looked_for_is_told_without_a_password():
    assert address({"DOCKER_HOST": "http://user:s3cret@host:2375"}) == "http://host:2375"


def test_an_engine_that_says_nothing_of_an_image_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(engine, "_ASK_S", 0.2)
    with answering(BUILT) as api:
        api.describes = threading.Event()
        with pytest.raises(BuildFailed, match=r"cannot be asked for python:.*not answered within 0.2 s; .*docker info"):
            built(api, order(dockerfile="FROM python:3.11-slim-bookworm\n"))
        api.describes.set()


def test_an_image_that_cannot_be_described_is_built_all_the_same(monkeypatch):
    monkeypatch.setattr(engine, "_ASK_S", 0.2)
    with docker_api(lambda handler: handler.stream(BUILT)) as api:
        api.describes = None
        gone = threading.Event()

        def build(handler):
            api.describes = gone
            handler.stream(BUILT)

        api.build = build
        image, lines = built(api)
        gone.set()
    assert image == Image()
    assert "the image is built, but the engine does not describe" in lines[-1]
    assert "has not answered within 0.2 s" in lines[-1]
