"""Serve a Bedrock that repeats what the user says: `python -m tests.bedrock --port 9099`."""

import argparse
from contextlib import suppress

from tests.bedrock import BedrockServer, ModelRequest, Reply, Text


def echo(request: ModelRequest) -> Reply:
    """Repeat the text of the last message, word by word."""
    blocks = request.body["messages"][-1]["content"]
    words = " ".join(block["text"] for block in blocks if "text" in block).split(" ")
    return Reply(Text(*(f"{word} " for word in words[:-1]), words[-1]))


def main() -> None:
    """Print the environment that leads boto3 here, and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bedrock", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one")
    server = BedrockServer(port=parser.parse_args().port)
    server.always(echo)
    for name, value in server.environment.items():
        print(f"export {name}={value}", flush=True)  # noqa: T201 - what the command is for
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
