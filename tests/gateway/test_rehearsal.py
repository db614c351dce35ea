"""New workers answer the examples: what fails is told, whatever fails, and nobody who is served notices."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from bentod.gateway.app import App
from bentod.gateway.gateway import Gateway
from bentod.gateway.infer import Limits
from bentod.gateway.rehearsal import Rehearsals
from bentod.wire.entries import CHUNK, DONE
from bentod.wire.messages import Example, Rehearse, Rehearsed, Unusable, WorkerRoute, decode, encode
from tests.support.asgi import LIMITS, Client, api, method, table
from tests.support.gateways import serving as working
from tests.support.links import FakeWorkers, service, worker
from tests.support.loops import LOOPS, run, turns, until

TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
FILE = {"type": "string", "format": "file", "contentMediaType": "text/plain"}


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


def example(given, *output, name="one", tolerance=None):
    """An example, with an output if there is one."""
    return Example(name, given, output[0] if output else None, bool(output), tolerance)


async def rehearsed(made, connect=None, files=Path("/nowhere"), number=7):
    """What the daemon is told, and what besides."""
    told: list = []
    more = {"connect": connect} if connect is not None else {}
    rehearsals = Rehearsals(Limits(20.0, files), told.append, **more)
    rehearsals.begin(Rehearse(number, made))
    assert rehearsals.tables == (made,)
    await until(lambda: any(isinstance(one, Rehearsed) for one in told))
    await turns()
    assert rehearsals.tables == ()
    (found,) = [one for one in told if isinstance(one, Rehearsed)]
    assert decode(encode(found)) == found
    assert found.number == number
    return found, [one for one in told if not isinstance(one, Rehearsed)]


def tried(*apis, functions, found=None, loop="asyncio", tasks=False, files=Path("/nowhere"), workers=1, **changed):
    """What comes of the examples of these APIs with real workers that have these functions."""

    async def main():
        async with AsyncExitStack() as stack:
            routes = []
            for index in range(workers):
                made = working(*functions, tasks=tasks)
                one = await asyncio.to_thread(made.__enter__)
                stack.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
                routes.append(WorkerRoute(index, 100 + index, one.path, 1, 1))
            methods = tuple(found or (method("f", "x"),))
            return await rehearsed(table(*apis, services=[service(*routes, methods=methods)], **changed), files=files)

    return run(main(), loop)


def texts(found):
    """Failures by example."""
    return {one.example: one.text for one in found.failures}


# ── what holds ───────────────────────────────────────────────────────────────────────────────────


def test_examples_that_hold(loop):
    examples = (example(1, 2), example({"a": [1]}, {"a": [1]}), example("x"), example(0.5, 0.6, tolerance=0.11))
    answers = {"1": 2}
    found, others = tried(
        api(examples=examples), functions=[lambda x: answers.get(json.dumps(x), x)], loop=loop, workers=2
    )
    assert (found.examples, found.failures, others) == (8, (), [])


def test_a_table_without_examples_needs_no_worker():
    async def main():
        found, _ = await rehearsed(table(api(), services=[service(worker(1))]), FakeWorkers().connect)
        assert (found.examples, found.failures) == (0, ())

    run(main())


@pytest.mark.parametrize("takes", ["columns", "items", "rows"])
def test_a_batch_of_one(takes):
    schema = {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "number"}}}}
    functions = {
        "columns": lambda x: [[2 * number for number in one] for one in x],
        "items": lambda x: [[2 * number for number in one["x"]] for one in x],
        "rows": lambda x: [2 * number for number in x],
    }
    made = api(input=schema, takes=takes, max_size=8, max_delay_s=20.0, examples=(example({"x": [1, 2]}, [2, 4]),))
    found, _ = tried(made, functions=[functions[takes]])
    assert (found.examples, found.failures) == (1, ())


@pytest.mark.parametrize("stream", ["sse", "ndjson"])
def test_streams_are_read_to_their_end(stream, loop):
    def chunks(x):
        yield from range(x)

    examples = (example(100, list(range(100))), example(3), example(0, []), example(2, [0, 5], name="other"))
    found, _ = tried(
        api(stream=stream, examples=examples),
        functions=[chunks],
        found=[method("f", "x", style="generator")],
        loop=loop,
    )
    assert found.examples == 4
    assert texts(found) == {"other": "/1: expected 5, got 1"}


def test_raw_streams_and_those_that_fail():
    def chunks(x):
        yield "a"
        yield x
        raise ValueError("mine")

    def ok(x):
        yield "a"
        yield x

    methods = [method("f", "x", style="generator"), method("g", "x", style="generator")]
    found, _ = tried(
        api(stream="raw", examples=(example("b", "ab"),)),
        api("g", method="g", stream="raw", examples=(example("b", "ab"), example("b", "ac", name="other"))),
        functions=[chunks, ok],
        found=methods,
    )
    assert found.examples == 3
    assert texts(found)["one"].startswith("the answer was cut off: target-raised\n")
    assert "ValueError: mine" in texts(found)["one"]
    assert texts(found)["other"] == 'the answer: expected "ac", got "ab"'


def test_special_values(tmp_path):
    packed = base64.b64encode(np.array([0, np.nan], np.float32).tobytes()).decode()
    nan = {"dtype": "float32", "shape": [2], "data": packed}
    examples = (example([1, 2], [2, 4]), example([0.1], [0.2]), example(nan, nan), example([1], [3], name="other"))
    text = base64.b64encode(b"text").decode()
    files = (example(text, text), example(text), example(text, base64.b64encode(b"tent").decode(), name="file"))
    found, _ = tried(
        api(input=TENSOR, output=TENSOR, examples=examples),
        api("g", method="g", input=FILE, output=FILE, examples=files),
        functions=[lambda x: x * 2, lambda x: x],
        found=[method("f", "x"), method("g", "x")],
        files=tmp_path,
    )
    assert found.examples == 7
    assert texts(found) == {
        "other": "/0: expected 3.0, got 2.0",
        "file": "the answer: expected 4 bytes, got 4 (they differ from byte 2 on)",
    }
    assert list(tmp_path.iterdir()) == []


def test_one_number_of_a_million_costs_a_line():
    def f(x):
        array = np.zeros(1_000_000, np.float32)
        array[123_456] = x[0]
        return array

    zeros = base64.b64encode(bytes(4_000_000)).decode()
    expected = {"dtype": "float32", "shape": [1_000_000], "data": zeros}
    found, _ = tried(
        api(input=TENSOR, output=TENSOR, examples=(example([0.5], expected), example([0], expected, name="good"))),
        functions=[f],
    )
    text = "/123456: expected 0.0, got 0.5 (1 of 1,000,000 numbers differ, by up to 0.5)"
    assert texts(found) == {"one": text}


# ── what fails ───────────────────────────────────────────────────────────────────────────────────


def test_what_the_callable_raises_is_told_with_its_traceback():
    def f(x):
        raise ValueError("what the user wrote")

    found, _ = tried(api(examples=(example(1, 2),)), functions=[f])
    ((_, _, text),) = [(one.api, one.example, one.text) for one in found.failures]
    assert text.startswith("500 The model failed\n")
    assert text.endswith("ValueError: what the user wrote")
    assert "bentod" not in text


def test_answers_that_the_schema_does_not_allow():
    made = api(output={"type": "string"}, examples=(example(1), example("x", "x", name="good")))
    found, _ = tried(made, functions=[lambda x: x])
    assert list(texts(found)) == ["one"]
    assert texts(found)["one"].startswith("500 The model gave an invalid answer: the answer does not match")
    unchecked, _ = tried(
        api(output={"type": "string"}, output_check=False, examples=(example(1),)), functions=[lambda x: x]
    )
    assert unchecked.failures == ()


def test_inputs_that_the_schema_does_not_allow():
    found, _ = tried(api(input={"type": "string"}, examples=(example(1),)), functions=[lambda x: x])
    assert texts(found)["one"].startswith("422 The input does not match the schema: ")
    assert "the input: 1 is not of type" in texts(found)["one"]


def test_a_wrong_shape():
    checked = TENSOR | {"shape": [3]}
    found, _ = tried(
        api(output=checked, examples=(example(1, [1, 2, 3]),)),
        api("g", output=checked, output_check=False, examples=(example(1, [1, 2, 3], name="unchecked"),)),
        functions=[lambda x: np.zeros((2, 2), np.float32)],
    )
    assert texts(found)["one"].startswith("500 The model gave an invalid answer")
    assert "the shape is [2, 2], wanted [3]" in texts(found)["one"]
    assert "expected float32 of the shape [3]" in texts(found)["unchecked"]


def test_nan_that_no_client_could_read():
    found, _ = tried(api(output=TENSOR, examples=(example(1),)), functions=[lambda x: np.array([np.nan], np.float32)])
    assert "the answer holds NaN or Infinity" in texts(found)["one"]


def test_a_worker_that_dies_ends_its_rehearsal(loop):
    async def main():
        workers = FakeWorkers()
        workers.handler = lambda _: asyncio.get_running_loop().call_soon(workers[1].die)
        examples = (example(1, 1), example(2, 2, name="never"))
        route = service(worker(1), methods=(method("f", "x"),))
        found, others = await rehearsed(table(api(examples=examples), services=[route]), workers.connect)
        assert found.examples == 1
        assert texts(found) == {"one": "the worker (pid 1) died while it answered this example"}
        assert [one.pid for one in others if isinstance(one, Unusable)] == [1]

    run(main(), loop)


def test_a_worker_that_cannot_be_reached():
    async def main():
        workers = FakeWorkers()
        workers.refused.add("/1")
        made = table(api(examples=(example(1, 1),)), services=[service(worker(1), methods=(method("f", "x"),))])
        found, _ = await rehearsed(made, workers.connect)
        assert texts(found) == {"one": "the worker (pid 1) died, or cannot be reached"}

    run(main())


@pytest.mark.parametrize("stream", ["", "sse"])
def test_a_worker_that_hangs_ends_its_rehearsal(stream):
    async def main():
        workers = FakeWorkers(lambda _: None)
        made = api(stream=stream, timeout_s=0.05, examples=(example(1, 1), example(2, 2, name="never")))
        style = "generator" if stream else "sync"
        route = service(worker(1), methods=(method("f", "x", style=style),))
        found, _ = await rehearsed(table(made, services=[route]), workers.connect)
        assert found.examples == 1
        assert texts(found)["one"].startswith("504 The call did not finish in time")

    run(main())


def test_a_stream_without_end_is_left():
    async def main():
        workers = FakeWorkers(lambda entry: [CHUNK, entry[1], 0.01, 1])
        made = api(stream="sse", timeout_s=0.05, stream_idle_s=0.1, examples=(example(1),))
        route = service(worker(1), methods=(method("f", "x", style="generator"),))

        async def more():
            while True:
                for link in workers.links:
                    for call in link.calls[:1]:
                        if call not in link.cancels:
                            link.chunk(call, 1)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(more())
        found, _ = await rehearsed(table(made, services=[route]), workers.connect)
        task.cancel()
        assert texts(found) == {"one": "the answer was not complete after 0.15 s"}
        assert workers[1].cancels == workers[1].calls

    run(main())


def test_what_goes_wrong_here_is_answered_all_the_same(capsys):
    async def main():
        broken = api(output={"type": 5}, examples=(example(1),))
        found, _ = await rehearsed(table(broken, services=[service(worker(1))]), FakeWorkers().connect)
        (failure,) = found.failures
        assert failure.text == "the gateway could not try the examples: see its log"

    run(main())
    assert "Traceback" in capsys.readouterr().err


def test_many_failures_are_bounded():
    async def main():
        workers = FakeWorkers(lambda entry: [DONE, entry[1], 0.0, "y" * 10_000])
        examples = tuple(example(number, ["x" * 10_000] * 50, name=f"{number}") for number in range(300))
        route = service(worker(1), methods=(method("f", "x"),))
        found, _ = await rehearsed(table(api(examples=examples), services=[route]), workers.connect)
        assert found.examples == 300
        assert len(found.failures) == 100
        assert len(encode(found)) < 100_000

    run(main())


# ── besides traffic ──────────────────────────────────────────────────────────────────────────────


def test_nothing_of_what_serves_is_touched():
    async def main():
        logged: list = []
        told: list = []
        app = App(LIMITS, lambda *line: logged.append(line))
        gateway = Gateway(app, told.append)
        async with AsyncExitStack() as stack:
            made = working(lambda x: x)
            one = await asyncio.to_thread(made.__enter__)
            stack.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
            route = service(WorkerRoute(0, 100, one.path, 1, 1), methods=(method("f", "x"),))
            serving = table(api(examples=(example(1, 1), example(1, 2, name="bad"))), services=[route])
            await gateway.apply(serving)
            before = app._routes
            found, _ = await rehearsed(serving)
            assert (found.examples, len(found.failures)) == (2, 1)
            assert app._routes is before
            assert (logged, told, app.running) == ([], [], 0)
            (counted,) = gateway.stats(1, 0).apis
            assert counted.codes == {}
            client = Client("/f", [b"5"], "POST", [])
            await app(client.scope, client.receive, client.send)
            assert client.response.json == 5
            assert len(logged) == 1
            await gateway.apply(table(services=[service(admit=False)]))

    run(main())


def test_several_at_once_and_each_worker_one_call_at_a_time(loop):
    busy, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def f(x):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        both.wait()
        with lock:
            busy -= 1
        return x

    async def main():
        async with AsyncExitStack() as stack:
            told: list = []
            rehearsals = Rehearsals(LIMITS, told.append)
            for number in (1, 2):
                made = working(f, tasks=False)
                one = await asyncio.to_thread(made.__enter__)
                stack.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
                route = service(WorkerRoute(0, number, one.path, 4, 4), methods=(method("f", "x"),))
                examples = tuple(example(at, at, name=f"{at}") for at in range(5))
                rehearsals.begin(Rehearse(number, table(api(examples=examples), services=[route])))
            assert len(rehearsals.tables) == 2
            await until(lambda: len(told) == 2)
            assert sorted((one.number, one.examples, len(one.failures)) for one in told) == [(1, 5, 0), (2, 5, 0)]
            assert most == 2

    run(main(), loop)
