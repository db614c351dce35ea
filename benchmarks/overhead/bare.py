"""The same JSON work in a bare ASGI app on the same server: parse, validate, validate, serialise; no worker."""

import json
import sys

import jsonschema_rs
import orjson
import uvicorn

SPEC = json.loads(sys.argv[2])
INPUT = jsonschema_rs.validator_for(SPEC["input"])
OUTPUT = jsonschema_rs.validator_for(SPEC["output"])


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    value = orjson.loads(body)
    assert INPUT.is_valid(value)
    answer = value["x"]
    assert OUTPUT.is_valid(answer)
    payload = orjson.dumps(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(payload))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


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
