"""The least that a server can do: receive, and send back the same, a few bytes, or the same events. No worker."""

import json
import sys

import uvicorn
from targets import tokens


async def app(scope, receive, send):
    assert scope["type"] == "http"
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(pieces)
    if scope["path"] == "/tokens":
        await events(json.loads(body), send)
    elif scope["path"] == "/image":
        await answer(b"[1,1]", b"application/json", send)
    else:
        await answer(body, b"application/octet-stream", send)


async def answer(payload, kind, send):
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(payload))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


async def events(wanted, send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for token in tokens(**wanted):
        event = b"data: " + json.dumps(token).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"event: end\ndata: null\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
    )
