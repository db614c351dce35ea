"""`bentod call API [INPUT…]`: call an API of the running daemon."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import ExitStack
from typing import Any

import aiohttp

from bentod.cli.call_answer import UnusableOutput, check, show
from bentod.cli.call_input import Body, Content, UnusableInput, body, header
from bentod.cli.client import Client, NotRunning, UnknownApi
from bentod.cli.options import add_files
from bentod.cli.project import located

_UNUSABLE = 2
_CONNECT_S = 5.0
_INPUT = """JSON text; @FILE (JSON, or the value itself where the API takes an image, a file, bytes or a tensor);
`-` for stdin; or NAME=VALUE for each property of an object: JSON or else a string, NAME=@FILE for what is in a file.
Default: the API's first example."""
_EPILOG = """Chunks of a stream are shown as they come. Exit codes: 0 answered; 2 the input or FILE cannot be used, or a
terminal would have to show a binary answer; 3 no daemon runs; 4 the answer is a problem, or it broke off."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument("api", metavar="API")
    parser.add_argument("words", metavar="INPUT", nargs="*", default=[], help=_INPUT)
    parser.add_argument("-o", "--output", metavar="FILE", default="", help="write the answer as it is; `-` is stdout")
    parser.add_argument("--accept", metavar="TYPE", help="the media type that the answer shall have")
    parser.add_argument(
        "-H", "--header", metavar="NAME:VALUE", action="append", default=[], help="a header of the request"
    )


def run(args: argparse.Namespace) -> int:
    """0: answered. 2: no such API, or an input or output that cannot be used. 4: a problem. Raises NotRunning."""
    try:
        api = asyncio.run(Client(located(args).control).api(args.api))
        with ExitStack() as files:
            headers = _headers(args)
            check(args.output)
            sent = body(args.words, api, sys.stdin.buffer.read, files)
            return asyncio.run(_post(api["url"], api["path"], sent, headers, args.output))
    except (UnknownApi, UnusableInput, UnusableOutput) as error:
        print(error, file=sys.stderr)
        return _UNUSABLE


def _headers(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Raises UnusableInput."""
    return [*([("accept", args.accept)] if args.accept else []), *map(header, args.header)]


async def _post(url: str, path: str, sent: Body, headers: list[tuple[str, str]], file: str) -> int:
    """The exit code. Raises NotRunning, UnusableOutput."""
    unix = url.removeprefix("unix:") if url.startswith("unix:") else None
    connector = aiohttp.UnixConnector(unix) if unix else aiohttp.TCPConnector()
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S)
    if isinstance(sent, Content) and "content-type" not in dict(headers):
        headers = [*headers, ("content-type", sent.media_type)]
    data: Any = sent.data if isinstance(sent, Content) else form(sent)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        target = ("http://bentod" if unix else url) + path
        try:
            response = await session.post(target, data=data, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotRunning(f"the daemon does not answer at {url}: {error}") from None
        async with response:
            return await show(response, file)


def form(fields: tuple[Content, ...]) -> aiohttp.FormData:
    """A form whose file names travel as a browser writes them."""
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for field in fields:
        data = field.data.decode() if isinstance(field.data, bytes) else field.data  # aiohttp takes bytes for a file
        form.add_field(field.name, data, content_type=field.media_type, filename=field.file or None)
    return form
