"""The least: the same JSON work in one ASGI app on uvicorn, no worker, no batches."""

import orjson
import uvicorn
from given import PORT, WORKLOAD
from work import WORK

work = WORK[WORKLOAD]()


async def app(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    payload = orjson.dumps(work.one(orjson.loads(body)["x"]))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(payload))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, http="httptools", loop="uvloop", lifespan="off", access_log=False, log_level="error")
