"""
Amazon's event stream encoding, the server's side.

A message is a prelude (total length, length of the headers, CRC32 of both), headers, payload, and a
CRC32 of all before it; integers are big-endian. A header is the length of its name in one byte, the
name, a type byte, and here always a string: type 7, a length in two bytes, UTF-8. Source:
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def event(kind: str, payload: Mapping[str, object]) -> bytes:
    """Encode one event of a stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(payload).encode())


def exception(kind: str, payload: Mapping[str, object]) -> bytes:
    """Encode an exception, which ends a stream."""
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps(payload).encode())


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Encode one message."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    body = lengths + struct.pack("!I", crc32(lengths)) + encoded + payload
    return body + struct.pack("!I", crc32(body))


def _header(name: str, value: str) -> bytes:
    key, content = name.encode(), value.encode()
    return struct.pack(f"!B{len(key)}sBH", len(key), key, _STRING, len(content)) + content
