"""The smallest streaming runtime: a thread per invocation, no framework."""

import base64
import json
import os
import time
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
ROOT = "/2018-06-01/runtime/invocation"
PRELUDE = json.dumps({"statusCode": 201, "headers": {"x-pid": str(os.getpid())}}).encode()


def main() -> None:
    """Poll for ever."""
    while True:
        connection = HTTPConnection(API)
        connection.request("GET", f"{ROOT}/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        Thread(target=respond, args=(request_id, json.loads(event["body"]))).start()


def respond(request_id: str, order: dict[str, Any]) -> None:
    """Send one chunk, wait for the gate to open, then end as the order says."""
    connection = HTTPConnection(API)
    connection.putrequest("POST", f"{ROOT}/{request_id}/response")
    connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    send(connection, PRELUDE + bytes(8))
    send(connection, b"first")
    while not Path(order["gate"]).exists():
        time.sleep(0.01)
    if order["then"] == "exit":
        os._exit(3)
    send(connection, b"last")
    trailers = b""
    if order["then"] == "fail":
        error = base64.b64encode(b'{"errorType":"Told","errorMessage":"as told"}')
        trailers = b"Lambda-Runtime-Function-Error-Type: Told\r\n"
        trailers += b"Lambda-Runtime-Function-Error-Body: " + error + b"\r\n"
    connection.send(b"0\r\n" + trailers + b"\r\n")
    status = connection.getresponse().status
    Path(order["gate"]).with_suffix(".done").write_text(str(status))


def send(connection: HTTPConnection, chunk: bytes) -> None:
    """Send one chunk."""
    connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))


main()
