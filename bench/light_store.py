"""
`python -m bench.light_store`: takes an executor's writes, and answers at once.

For measurements in which the store's stand-in must not use up the processor that is measured:
moto's server takes milliseconds of it for each request, DynamoDB none. It checks no condition and
knows only what `DynamoRunStore` and `DynamoEventLog` send while a run is executed. Prints its port.
"""

import asyncio
import json
from typing import Any

_HEADERS: dict[str, dict[str, Any]] = {}


def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Keep headers, the one kind of item that is given back; swallow everything else."""
    if operation == "TransactWriteItems":
        for item in (write["Put"]["Item"] for write in request["TransactItems"] if "Put" in write):
            _HEADERS[item["pk"]["S"] + item["sk"]["S"]] = item
    if operation != "UpdateItem":
        return {}
    header = _HEADERS.get(request["Key"]["pk"]["S"] + request["Key"]["sk"]["S"])
    if header is None:
        # The session, or the tenant's quota; nobody asks for what becomes of them.
        return {}
    names = request["ExpressionAttributeNames"].values()
    values = request["ExpressionAttributeValues"]
    header.update({name: values[f":{name}"] for name in names if f":{name}" in values})
    return {"Attributes": header}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await reader.readexactly(int(fields["content-length"]))
            operation = _OPERATIONS[fields["x-amz-target"].rpartition(".")[2]]
            answered = json.dumps(answer(operation, json.loads(body))).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(answered), answered)
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


_OPERATIONS = {name.lower(): name for name in ("TransactWriteItems", "UpdateItem", "PutItem")}


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"Running on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
