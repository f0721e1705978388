#!/usr/bin/env bash
# Standard Webhooks: a secret without the prefix `whsec_` means two different keys.
#
# standardwebhooks 1.1.0 and svix 2.9.1 decode any secret as base64, with or without the prefix.
# openai 3.57.0 decodes it only behind the prefix and uses any other text as the key itself. So a sender
# with one and a receiver with the other agree on every secret with the prefix and on none without it,
# although both silently accept it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check standardwebhooks==1.1.0 svix==2.9.1 openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import base64
from datetime import UTC, datetime

from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

BODY, ID, NOW = '{"type":"run.completed"}', "msg_1", datetime.now(tz=UTC)
BARE = base64.b64encode(b"twenty-four bytes of key").decode()


def openai_accepts(secret: str, signature: str) -> bool:
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": signature,
    }
    client = OpenAI(api_key="unused", webhook_secret=secret)
    try:
        client.webhooks.verify_signature(BODY, headers)
    except InvalidWebhookSignatureError:
        return False
    return True


seen = {}
for name, secret in {"with prefix": f"whsec_{BARE}", "without": BARE}.items():
    signature = Webhook(secret).sign(ID, NOW, BODY)
    assert SvixWebhook(secret).sign(ID, NOW, BODY) == signature
    seen[name] = openai_accepts(secret, signature)
print("openai accepts what standardwebhooks and svix sign:", seen)
assert seen == {"with prefix": True, "without": False}
PY
