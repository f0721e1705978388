"""Print the document, as `docs/openapi.json` holds it."""

import json
import sys

from agentrun.http.openapi.document import openapi_document

if __name__ == "__main__":
    sys.stdout.write(json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n")
