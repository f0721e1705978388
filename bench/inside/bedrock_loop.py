"""`python -m bench.inside.bedrock_loop MODEL COUNT …`: boto3's bare loop; prints µs per event."""

import sys
import time

import boto3


def loop(client: object, model: str, count: int) -> float:
    """Read one stream to its end and return the processor time that it took, in seconds."""
    started = time.process_time()
    messages = [{"role": "user", "content": [{"text": f"/emit {count}"}]}]
    answer = client.converse_stream(modelId=model, messages=messages)  # type: ignore[attr-defined]
    seen = 0
    for event in answer["stream"]:
        if "contentBlockDelta" in event:
            seen += len(event["contentBlockDelta"]["delta"]["text"]) > 0
    if seen != count:
        raise RuntimeError(f"{seen} events, not {count}")
    return time.process_time() - started


def main() -> None:
    """Warm up, then print the figure of each round: what a long stream takes over a short one."""
    client = boto3.client("bedrock-runtime")
    model, short, long, rounds = sys.argv[1], *map(int, sys.argv[2:])
    loop(client, model, short)
    for _ in range(rounds):
        taken = [loop(client, model, count) for count in (short, long)]
        print((taken[1] - taken[0]) / (long - short) * 1e6)


if __name__ == "__main__":
    main()
