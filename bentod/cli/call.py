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
from bentod.cli.project import loaded, located

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
    status = asyncio.run(Client(located(args).control).get("/status"))
    apis = status["apis"]
    if args.api not in apis:
        print(f"the daemon serves no API {args.api!r}; it serves: {', '.join(apis)}", file=sys.stderr)
        return 2
    text = sys.stdin.read() if args.input == "-" else args.input
    if text is None:
        text = _example(args)
    if text is None or not _is_json(text):
        return 2
    answer = asyncio.run(_post(status["url"], apis[args.api]["path"], text))
    print(answer[1], file=sys.stdout if answer[0] < 400 else sys.stderr)
    return 0 if answer[0] < 400 else _PROBLEM


def _example(args: argparse.Namespace) -> str | None:
    """The input of the API's first example. Raises SpecError."""
    found, _, _ = loaded(args)
    api = found.spec.apis.get(args.api)
    if api is None or not api.examples:
        print(f"{args.api} has no example: give an input", file=sys.stderr)
        return None
    return json.dumps(api.examples[0].input)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError as error:
        print(f"the input is no JSON: {error}", file=sys.stderr)
        return False
    return True


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
