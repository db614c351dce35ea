"""`bentod bench API`: how many calls a second an API of the running daemon takes, and how long they last then."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uvloop

import bentod
from bentod.cli import bench_options, bench_report, bench_table, bench_words
from bentod.cli.bench_exchange import Exchange
from bentod.cli.bench_options import Options
from bentod.cli.bench_payload import Payload, payloads, request
from bentod.cli.bench_pool import Pool, address
from bentod.cli.bench_report import Report
from bentod.cli.bench_sweep import Sweep, Trial
from bentod.cli.bench_tally import Row
from bentod.cli.call_answer import UnusableOutput, check
from bentod.cli.call_input import UnusableInput, header
from bentod.cli.client import Client, UnknownApi
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.codec.chunks import readable

_MEASURED, _UNUSABLE, _GONE, _FAILED, _INTERRUPTED = 0, 2, 3, 4, 130
_EPILOG = """Calls start at random moments (a Poisson process), whether those before have been answered or not, and
their times count from when they were to start. What is sent are the API's examples, in turn. Exit codes: 0 measured; 2
no such API, or it has no examples; 3 no daemon runs, or it is gone; 4 an example is answered with a problem; 130
interrupted: what was measured until then is shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument("api", metavar="API")
    bench_options.configure(parser)
    parser.add_argument("--report", metavar="FILE", default="", help="write an HTML page with plots")
    parser.add_argument("--json", action="store_true", help="as JSON, at the end")
    parser.add_argument(
        "--body",
        choices=("natural", "json"),
        default="natural",
        help="natural (default): pictures, files and bytes are sent as they are or in a form; json: all is JSON",
    )
    parser.add_argument(
        "-H", "--header", metavar="NAME:VALUE", action="append", default=[], help="a header of the requests"
    )


def run(args: argparse.Namespace) -> int:
    """The exit codes are in the epilog. Raises NotRunning, SpecError."""
    try:
        api = asyncio.run(Client(located(args).control).api(args.api))
        options = bench_options.options(args)
        check(args.report)
        sent = asyncio.run(payloads(api, only_json=args.body == "json"))
        where = address(api["url"])
        requests = [request(one, api["path"], where.name, [header(text) for text in args.header]) for one in sent]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Bench(args, api, options, sent).run(requests))
    except (UnknownApi, UnusableInput, UnusableOutput) as error:
        print(error, file=sys.stderr)
        return _UNUSABLE


class _Bench:
    """One run of the verb."""

    def __init__(self, args: argparse.Namespace, api: dict[str, Any], options: Options, sent: list[Payload]) -> None:
        self._args = args
        self._api = api
        self._options = options
        self._sent = sent
        self._stream = bool(api["stream"])
        self._trials: list[Trial] = []
        self._rows: list[Row] = []
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    async def run(self, requests: Sequence[bytes]) -> int:
        """The exit code. Raises UnusableOutput."""
        options = self._options
        pool = Pool(address(self._api["url"]), options.connections, options.timeout_s, time.monotonic)
        sweep = Sweep(pool, requests, options, time.monotonic, time.process_time)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, sweep.stop)
        gc.freeze()
        try:
            failed = self._failed(await sweep.once())
            if not failed and not sweep.ended:
                failed = await self._measure(sweep)
        finally:
            gc.unfreeze()
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            await pool.close()
        gone = f"the daemon does not answer any more at {self._api['url']}: {pool.gone}" if pool.gone else ""
        return self._end(failed, gone, interrupted=sweep.interrupted)

    def _failed(self, exchanges: Sequence[Exchange]) -> str:
        """What is wrong with an example, if one was not answered well."""
        for payload, exchange in zip(self._sent, exchanges, strict=False):
            if exchange.failure:
                detail = readable(exchange.detail.encode()) if exchange.detail else ""
                return f"the example {payload.name!r} gets no answer, but {exchange.failure}\n{detail}".rstrip()
        return ""

    async def _measure(self, sweep: Sweep) -> str:
        """All rates. Returns why none could be measured, if so."""
        self._say(self._title())
        if not self._options.rates:
            self._trials = await sweep.trials()
            self._say("closed loop: " + ", ".join(map(_trial, self._trials)))
        rates = () if sweep.ended else sweep.rates(self._trials)
        if not rates:
            return "" if sweep.ended else "nothing is answered in a closed loop, so there is no rate to begin with"
        self._say(bench_table.head(stream=self._stream))
        for number, rate in enumerate(rates):
            if sweep.ended:
                break
            row = await sweep.row(number, rate, stream=self._stream)
            self._rows.append(row)
            self._say("\n".join(bench_table.lines(row, stream=self._stream)))
        return ""

    def _end(self, failed: str, gone: str, *, interrupted: bool) -> int:
        ended = "interrupted" if interrupted else gone or failed
        report = self._report(ended)
        if self._args.json:
            print(json.dumps(report.document(), indent=2, ensure_ascii=False))
        elif verdict := bench_words.verdict(self._rows):
            print(verdict)
        if self._args.report and (self._rows or not ended):
            bench_report.write(self._args.report, report)
        if ended and not interrupted:
            print(ended, file=sys.stderr)
        return _INTERRUPTED if interrupted else _GONE if gone else _FAILED if failed else _MEASURED

    def _report(self, ended: str) -> Report:
        return Report(
            api=self._args.api,
            url=self._api["url"],
            path=self._api["path"],
            stream=self._api["stream"] or "",
            started=self._started,
            bentod=bentod.__version__,
            options=self._options,
            payloads=tuple(self._sent),
            trials=tuple(self._trials),
            rows=tuple(self._rows),
            ended=ended,
        )

    def _title(self) -> str:
        sent = ", ".join(f"{one.name} ({bench_words.size(len(one.data))})" for one in self._sent)
        return f"{self._args.api} at {self._api['url']}{self._api['path']}; examples: {sent}"

    def _say(self, text: str) -> None:
        if not self._args.json:
            print(text, flush=True)


def _trial(trial: Trial) -> str:
    return f"{bench_words.rate(trial.answered_rate)}/s with {trial.connections}"
