"""`python -m bench.inside.bedrock_server`: a Bedrock that obeys `/emit N`; prints its address."""

import json
import re

from tests.bedrock import BedrockServer, ModelRequest, Reply, Text

_COUNT = re.compile(r"/emit (\d+)")


def emit(request: ModelRequest) -> Reply:
    """Say as many tokens as the last message asks for, as fast as they go."""
    match = _COUNT.search(json.dumps(request.body["messages"][-1]))
    if match is None:
        raise ValueError("this model obeys /emit only")
    return Reply(Text(*(["token "] * int(match[1]))))


if __name__ == "__main__":
    server = BedrockServer()
    server.always(emit)
    print(f"Running on {server.url}", flush=True)
    server.serve_forever()
