"""What a request to Bedrock sent."""

from typing import Any

from tests.bedrock import BedrockServer


def sent(bedrock: BedrockServer, number: int = -1) -> list[dict[str, Any]]:
    """Return the messages of a request."""
    messages: list[dict[str, Any]] = bedrock.requests[number].body["messages"]
    return messages


def calls_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls that stand in messages."""
    blocks = [block for message in messages for block in message["content"]]
    return [block["toolUse"] for block in blocks if "toolUse" in block]


def results_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results of calls that stand in messages."""
    blocks = [block for message in messages for block in message["content"]]
    return [block["toolResult"] for block in blocks if "toolResult" in block]
