"""The report: valid HTML that needs nothing else, with every name escaped; plots in their picture; the table; JSON."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.cli import bench_table
from bentod.cli.bench_exchange import Exchange
from bentod.cli.bench_options import Options
from bentod.cli.bench_payload import Payload
from bentod.cli.bench_plot import BOTTOM, LEFT, RIGHT, TOP, Series, plot
from bentod.cli.bench_report import Report, page, plots, write
from bentod.cli.bench_sweep import Trial
from bentod.cli.bench_tally import Tally, Window
from bentod.cli.call_answer import UnusableOutput

NASTY = """<script>alert("1")</script>&'"""
VOID = {"meta", "link", "br", "path", "circle"}
OPTIONS = Options((), 10.0, 2.0, 10.0, 500, 1)


def row(rate=100.0, took=0.01, failure="", batch=b"8", stream=False, cpu=0.1):
    tally = Tally(Window(0.0, 10.0))
    for number in range(int(rate * 10)):
        exchange = Exchange(number / rate, b"")
        tally.start(exchange, waited=False)
        exchange.headers = {b"server-timing": b'queue;dur=1.5, run;dur=2.5, batch;desc="%b"' % batch} if batch else {}
        exchange.first, exchange.chunks = exchange.intended + took / 4, 3
        exchange.end(exchange.intended + took, failure if number % 10 == 0 else "")
        tally.end(exchange)
    return tally.row(rate, cpu, 10.0, stream=stream, partial=False)


def report(*rows, **changed):
    values = {
        "api": "embed", "url": "http://127.0.0.1:3000", "path": "/embed", "stream": "", "started": "2026-01-01",
        "bentod": "0.1.0", "options": OPTIONS, "payloads": (Payload("one", "application/json", b"{}"),),
        "trials": (Trial(1, 50.0), Trial(16, 100.0)), "rows": rows, "ended": "",
    }  # fmt: skip
    return Report(**values | changed)


class Checker(HTMLParser):
    """Every element that is opened is closed, in order; names what is loaded from elsewhere."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "xlink:href", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def checked(html):
    assert html.lower().lstrip().startswith("<!doctype html>")
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert checker.links == ["data:,"]
    assert "script" not in checker.seen
    assert "@import" not in html
    assert "url(" not in html
    return checker, re.sub(r"\s+", " ", " ".join(checker.text))


def test_a_page():
    checker, text = checked(page(report(row(10), row(100), row(1000, failure="queue-full"))))
    assert checker.seen.count("figure") == 4
    assert "It keeps up with 100/s, with a p99 of 10.0 ms." in text
    assert "1,000 queue-full" in text
    assert "8 \N{MULTIPLICATION SIGN} 1,000" in text
    assert "50/s with 1 connection, 100/s with 16 connections" in text
    assert "one: 2 B of application/json" in re.sub(r" +", " ", text)


def test_a_page_of_a_stream():
    checker, text = checked(page(report(row(10, stream=True), row(100, stream=True), stream="sse")))
    assert checker.seen.count("figure") == 5
    assert "Time to the first chunk" in text
    assert "chunks/s" in text


@pytest.mark.parametrize("stream", ["", "sse"])
def test_a_page_without_anything(stream):
    checker, text = checked(page(report(stream=stream, trials=(), ended="interrupted")))
    assert "figure" not in checker.seen
    assert "Nothing was measured" in text
    assert "interrupted" in text


def test_a_row_without_any_answer():
    nothing = Tally(Window(0.0, 1.0)).row(5.0, 0.0, 1.0, stream=False, partial=True)
    checked(page(report(nothing)))
    checked(page(report(row(10, batch=b""), replace(row(20), latency_s=None, run_s=None, queue_s=None))))


def test_names_are_escaped():
    odd = report(
        row(10, failure="queue-full"), api=NASTY, url=NASTY, path=NASTY, started=NASTY, ended=NASTY,
        payloads=(Payload(NASTY, NASTY, b""),),
    )  # fmt: skip
    html = page(odd)
    assert "<script" not in html
    _, text = checked(html)
    assert text.count("alert(") == 8


def test_it_is_written(tmp_path):
    write(str(tmp_path / "r.html"), report(row(10), api="\udcff"))
    assert (tmp_path / "r.html").read_text("utf-8").startswith("<!doctype")
    with pytest.raises(UnusableOutput, match="Is a directory"):
        write(str(tmp_path), report())


def test_json():
    document = json.loads(json.dumps(report(row(10), row(100, failure="queue-full")).document()))
    assert document["payloads"] == [{"name": "one", "media_type": "application/json", "bytes": 2}]
    assert document["held_rate"] == 10
    assert document["rows"][0]["latency_s"]["count"] == 100
    assert document["rows"][0]["batches"] == {"8": 100}
    assert document["rows"][1]["failures"] == {"queue-full": 100}
    assert "histogram" in document["percentiles"]
    assert report().document()["held_rate"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_the_table_is_aligned(stream):
    rows = [row(1, stream=stream), row(1000, batch=b"", failure="queue-full", cpu=1.0, stream=stream)]
    lines = [next(bench_table.lines(one, stream=stream)) for one in rows]
    head = bench_table.head(stream=stream)
    assert all(line[: len(head)].count("  ") for line in lines)
    assert lines[0] == lines[0][: len(head)]
    assert lines[1][len(head) :] == "  not reliable"
    for end in (match.end() for match in re.finditer(r"\S+( \S+)*", head)):
        assert all(line[end - 1] != " " and line[end : end + 2].strip() == "" for line in lines)


# ── plots ────────────────────────────────────────────────────────────────────────────────────────

VALUES = st.floats(1e-6, 1e6)


@given(
    st.lists(st.tuples(VALUES, st.none() | VALUES | st.just(0.0)), max_size=12),
    st.booleans(),
)
def test_all_of_a_plot_lies_in_its_picture(points, from_zero):
    drawn = plot("t", "", [Series("s", tuple(points))], "x", str, str, from_zero=from_zero)
    [line] = drawn.lines
    assert len(line.dots) == sum(y is not None for _, y in points)
    assert all(LEFT <= dot.x <= RIGHT and TOP <= dot.y <= BOTTOM for dot in line.dots)
    assert all(LEFT <= tick.at <= RIGHT for tick in drawn.x)
    assert all(TOP <= tick.at <= BOTTOM for tick in drawn.y)
    assert len(drawn.x) <= 9
    assert len(drawn.y) <= 9
    assert all(math.isfinite(dot.x) and math.isfinite(dot.y) for dot in line.dots)


def test_a_wide_range_is_logarithmic_and_a_narrow_one_is_not():
    wide = plot("t", "", [Series("s", ((1, 1), (10, 10), (100, 100)))], "x", "{:g}".format, "{:g}".format)
    assert [tick.text for tick in wide.x] == ["1", "2", "5", "10", "20", "50", "100"]
    first, second, third = (dot.x for dot in wide.lines[0].dots)
    assert second - first == pytest.approx(third - second, abs=0.2)
    narrow = plot("t", "", [Series("s", ((100, 1), (200, 2)))], "x", "{:g}".format, "{:.2f} s".format)
    assert [tick.text for tick in narrow.x] == ["0", "50", "100", "150", "200"]
    assert narrow.y[-1].text == "2 s"


def test_there_are_plots_only_where_there_are_numbers():
    assert [one.title for one in plots([], stream=False)] == []
    assert [one.title for one in plots([row(10, batch=b"")], stream=False)] == ["Latency", "Throughput"]
    assert len(list(plots([row(10)], stream=True))) == 5
