"""`bentod call API JSON`: call an API of the running daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import aiohttp

from bentod.cli.client import Client, NotRunning
from bentod.cli.options import add_files
from bentod.cli.project import loaded

_PROBLEM = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("api", metavar="API")
    parser.add_argument(
        "input", metavar="JSON", nargs="?", help="the input; `-` reads stdin; default: the first example"
    )


def run(args: argparse.Namespace) -> int:
    """0: answered. 2: there is no such API, or the input is no JSON. 4: the answer is a problem."""
    found, folders, _ = loaded(args)
    api = found.spec.apis.get(args.api)
    if api is None:
        print(f"no API {args.api!r}; there are: {', '.join(found.spec.apis)}", file=sys.stderr)
        return 2
    text = sys.stdin.read() if args.input == "-" else args.input
    if text is None:
        if not api.examples:
            print(f"{args.api} has no example: give an input", file=sys.stderr)
            return 2
        text = json.dumps(api.examples[0].input)
    status = asyncio.run(Client(folders.control).get("/status"))
    answer = asyncio.run(_post(status["url"], status["apis"][args.api]["path"], text))
    print(answer[1], file=sys.stdout if answer[0] < 400 else sys.stderr)
    return 0 if answer[0] < 400 else _PROBLEM


async def _post(url: str, path: str, text: str) -> tuple[int, str]:
    """Status and body, JSON made readable. Raises NotRunning."""
    unix = url.removeprefix("unix:") if url.startswith("unix:") else None
    connector = aiohttp.UnixConnector(unix) if unix else aiohttp.TCPConnector()
    headers = {"content-type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(("http://bentod" if unix else url) + path, data=text.encode(), headers=headers) as response,
        ):
            return response.status, _readable(await response.read())
    except aiohttp.ClientError as error:
        raise NotRunning(f"the daemon does not answer at {url}: {error}") from None


def _readable(body: bytes) -> str:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    return json.dumps(value, indent=2, ensure_ascii=False)
