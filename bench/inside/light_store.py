"""
`python -m bench.inside.light_store`: takes an executor's writes, and answers at once.

For measurements in which the store's stand-in must not use up the processor that is measured:
moto's server takes milliseconds of it for each request, DynamoDB none. It checks no condition, and
gives back what was put as a whole; a query finds nothing. Prints its port.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

_Request = dict[str, Any]
_items: dict[str, dict[str, Any]] = {}


def _place(key: dict[str, Any]) -> str:
    return f"{key['pk']['S']} {key['sk']['S']}"


def _put(request: _Request) -> _Request:
    _items[_place(request["Item"])] = request["Item"]
    return {}


def _update(request: _Request) -> _Request:
    item = _items.get(_place(request["Key"]))
    if item is None:
        # The session, or the tenant's quota; nobody asks for what becomes of them.
        return {}
    names = request.get("ExpressionAttributeNames", {}).values()
    values = request.get("ExpressionAttributeValues", {})
    item.update({name: values[f":{name}"] for name in names if f":{name}" in values})
    return {"Attributes": item}


def _write_all(request: _Request) -> _Request:
    for write in request["TransactItems"]:
        if "Put" in write:
            _put(write["Put"])
        elif "Update" in write:
            _update(write["Update"])
    return {}


def _get(request: _Request) -> _Request:
    item = _items.get(_place(request["Key"]))
    return {"Item": item} if item else {}


def _get_batch(request: _Request) -> _Request:
    found = {
        table: [_items[_place(key)] for key in asked["Keys"] if _place(key) in _items]
        for table, asked in request["RequestItems"].items()
    }
    return {"Responses": found, "UnprocessedKeys": {}}


_OPERATIONS: dict[str, Callable[[_Request], _Request]] = {
    "transactwriteitems": _write_all,
    "transactgetitems": lambda r: {"Responses": [_get(part["Get"]) for part in r["TransactItems"]]},
    "batchgetitem": _get_batch,
    "batchwriteitem": lambda _: {"UnprocessedItems": {}},
    "getitem": _get,
    "putitem": _put,
    "updateitem": _update,
    "deleteitem": lambda _: {},
    "query": lambda _: {"Items": [], "Count": 0, "ScannedCount": 0},
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await reader.readexactly(int(fields["content-length"]))
            operation = _OPERATIONS[fields["x-amz-target"].rpartition(".")[2]]
            answered = json.dumps(operation(json.loads(body))).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(answered), answered)
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"Running on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
