"""The secret that signs this machine's webhooks, and the variables with which they work here."""

import contextlib
import os
import secrets
from base64 import b64encode
from pathlib import Path

from agentrun.domain.webhooks import SECRET_PREFIX
from agentrun_local.template.cloudformation import ACCOUNT, REGION

SECRET_FILE = "webhook-secret"  # noqa: S105 - the file's name
WEBHOOK_SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:agentrun-webhooks-LocaL"
"""Switches the template's webhooks on; nobody asks for it, since the variables below win."""


def webhook_secret(folder: Path) -> str:
    """Return the secret of the folder; the first use creates it, readable by its owner."""
    path = folder / SECRET_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_bytes(b"")
        draft.chmod(0o600)
        draft.write_text(f"{SECRET_PREFIX}{b64encode(secrets.token_bytes(32)).decode()}\n")
        # A stack and a listener that start at once must use the same one: the first link wins.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()


def webhook_variables(folder: Path) -> dict[str, str]:
    """Return what functions get so that webhooks reach receivers on this machine."""
    return {
        "AGENTRUN_WEBHOOK_SECRETS": webhook_secret(folder),
        "AGENTRUN_WEBHOOK_LOOPBACK": "true",
    }
