#!/usr/bin/env bash
# `EventSourceResponse` of sse-starlette 3.7.0 and of fastapi.sse (FastAPI 0.165.0): one name, and three
# wires for the same `yield`. No change of the import is an error.
#
# - A dict is an event with its fields in sse-starlette, and data as a whole in FastAPI: `event:` and
#   `id:` are gone from the wire, so listeners of that event are never called and a reader that
#   re-connects has no Last-Event-ID.
# - A text is written as it is in sse-starlette, and as JSON, with quotes, in FastAPI.
# - FastAPI frames events only for a route whose `response_class` it is. Returned from a route as
#   `EventSourceResponse(generator)`, as sse-starlette has it, the texts are written without `data:` or
#   blank lines: the status is 200, and a reader gets no event at all.
# - Other than a text, data is written by `str()` in sse-starlette: `{'x': 1}` is no JSON.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check fastapi==0.165.0 sse-starlette==3.7.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import fastapi.sse
import sse_starlette
from fastapi import FastAPI

ITEMS = {
    "text": "Hal",
    "event": {"event": "delta", "id": "7", "data": "Hal"},
    "object": {"data": {"x": 1}},
}
app = FastAPI()


async def one(name: str) -> AsyncIterator[Any]:
    yield ITEMS[name]


@app.get("/sse-starlette/{name}")
async def others(name: str) -> Any:
    return sse_starlette.EventSourceResponse(one(name), sep="\n")


@app.get("/fastapi/{name}", response_class=fastapi.sse.EventSourceResponse)
async def own(name: str) -> AsyncIterator[Any]:
    async for item in one(name):
        yield item


@app.get("/fastapi-returned/{name}")
async def returned(name: str) -> Any:
    return fastapi.sse.EventSourceResponse(one(name))


async def wire(path: str) -> str:
    """Return the status and the body of the response to a GET."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    requests = [{"type": "http.request", "body": b""}]
    sent: list[Any] = []

    async def receive() -> Any:
        if requests:
            return requests.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message["body"] for message in sent[1:]).decode()
    return f"{sent[0]['status']} {body}"


async def main() -> None:
    paths = [f"/{library}/{name}" for name in ITEMS for library in ("sse-starlette", "fastapi")]
    seen = {path: await wire(path) for path in [*paths, "/fastapi-returned/text"]}
    for path, answer in seen.items():
        print(f"{path}: {answer!r}")
    assert seen == {
        "/sse-starlette/text": "200 data: Hal\n\n",
        "/fastapi/text": '200 data: "Hal"\n\n',
        "/sse-starlette/event": "200 id: 7\nevent: delta\ndata: Hal\n\n",
        "/fastapi/event": '200 data: {"event":"delta","id":"7","data":"Hal"}\n\n',
        "/sse-starlette/object": "200 data: {'x': 1}\n\n",
        "/fastapi/object": '200 data: {"data":{"x":1}}\n\n',
        "/fastapi-returned/text": "200 Hal",
    }


asyncio.run(asyncio.wait_for(main(), 60))
PY
