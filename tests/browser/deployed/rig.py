"""A stack that trusts an issuer, the issuer, and the page in front of the stack."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.stack import ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S
from tests.server_process import free_port, running_server

STATIC = ROOT / "local/agentrun_local/playground/static"
ISSUER = Path(__file__).parent / "issuer"
PYTHON = ROOT / ".venv/bin/python"
AUDIENCE = "https://agentrun.example.com"
CLIENT = "playground"


@dataclass(frozen=True)
class Deployed:
    """The page's URL, the issuer's, and the log of what the issuer has given."""

    url: str
    issuer: str
    log: Path

    def events(self, name: str) -> int:
        """Return how often something has happened at the issuer."""
        return self.log.read_text().splitlines().count(f"event {name}")


@contextmanager
def _running(
    command: Sequence[str | Path], ready: Path, log: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """Run a program until the end of the block; yield what it writes into its file."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (ready.exists() and ready.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield ready.read_text()
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


@contextmanager
def running_deployment(scratch: Path) -> Iterator[Deployed]:
    """Run all three; the issuer's one client is the page."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    (scratch / "playground_files").symlink_to(STATIC)
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(scratch))),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    trusted = (f"Issuer={issuer}", f"Audience={AUDIENCE}")
    dev: list[str | Path] = [
        *(ROOT / ".venv/bin/agentrun", "dev", "--ready-file", scratch / "ready.json"),
        *("--port", "0", "--url-port", "0", "--template", ROOT / "template.yaml"),
        *_parameters(*trusted, f"JwksUrl={issuer}/jwks", "OrgClaim="),
    ]
    site: list[str | Path] = [
        *(str(PYTHON), "-m", "tests.browser.deployed.site", "--url-file", scratch / "site.url"),
        *_parameters(
            *trusted,
            f"PlaygroundClientId={CLIENT}",
            "PlaygroundScopes=openid offline_access runs:read runs:write",
            # This issuer gives a token that renews only to whom the user was asked for.
            f"PlaygroundSignInQuery=resource={AUDIENCE}&prompt=consent",
        ),
    ]
    with _running(dev, scratch / "ready.json", scratch / "dev.log", own) as ready:
        api = json.loads(ready)["rest_api"]
        with _running(
            [*site, "--api", api], scratch / "site.url", scratch / "site.log", own
        ) as url:
            log = scratch / "issuer.log"
            node: list[str | Path] = ["node", ISSUER / "issuer.mjs", str(port), f"{url}/", AUDIENCE]
            with running_server(node, port, environment=own, cwd=ISSUER, log=log):
                yield Deployed(url, issuer, log)


def _parameters(*given: str) -> list[str]:
    return [part for one in given for part in ("--parameter", one)]
