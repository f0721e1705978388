"""Webhooks lead to public hosts only, when they are asked for and at each try."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings

from agentrun.adapters.webhooks.guard import NoWebhooks, PublicWebhookGuard, webhook_guard
from agentrun.adapters.webhooks.public_hosts import PublicHosts
from agentrun.adapters.webhooks.sender import HttpWebhookSender
from agentrun.domain.errors import InvalidRequestError
from agentrun.domain.ports.webhooks import WebhookFailedError, WebhookGuard
from agentrun.settings import Settings
from tests.certificates import self_signed
from tests.integration.internet import PUBLIC, PUBLIC_IPV6, Internet, ok, redirect
from tests.integration.test_media_ssrf import (
    HERE,
    MALFORMED,
    NAMES,
    NOT_PUBLIC,
    PORT,
    URLS,
    WELL_FORMED,
)

pytestmark = pytest.mark.anyio

FIELD = "webhook.url"
GUARD = PublicWebhookGuard(PublicHosts())
LAPTOP = PublicHosts(allows_loopback=True)


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    internet = Internet({name: [*answers] for name, answers in NAMES.items()})
    async with internet.opened():
        yield internet


async def refusal(url: str, guard: WebhookGuard = GUARD) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        await guard.check(url)
    ((name, reason),) = refused.value.params
    assert (name, str(refused.value)) == (FIELD, f"{FIELD} {reason}.")
    return reason


async def post(
    url: str, hosts: PublicHosts | None = None, tls: ssl.SSLContext | None = None
) -> None:
    """Post in a thread: the internet is on this loop."""
    sender = HttpWebhookSender(hosts or PublicHosts(), tls=tls)
    await asyncio.to_thread(sender.post, url, {"webhook-id": "run-1_2"}, b"{}")


async def failure(url: str, tls: ssl.SSLContext | None = None) -> str:
    with pytest.raises(WebhookFailedError) as failed:
        await post(url, tls=tls)
    assert not failed.value.is_final
    return str(failed.value)


@pytest.mark.parametrize("url", [*WELL_FORMED, *MALFORMED])
async def test_what_media_may_not_lead_to_webhooks_may_not_either(
    internet: Internet, url: str
) -> None:
    reason = (WELL_FORMED | MALFORMED)[url]
    assert reason in await refusal(url)
    assert reason in await failure(url)
    assert (internet.connections, internet.requests) == ([], [])


async def test_a_public_host_may_be_told(internet: Internet) -> None:
    internet.answers["files.example/hook?a=b"] = ok(b"")
    url = "http://files.example/hook?a=b#part"
    await GUARD.check(url)
    assert internet.connections == []
    await post(url)
    assert internet.connections == [(PUBLIC, 80)]
    (request,) = internet.requests
    assert request.startswith("POST /hook?a=b HTTP/1.1\r\n")
    names = {line.partition(":")[0].lower() for line in request.splitlines()[1:]}
    assert not names & {"cookie", "authorization", "proxy-authorization", "referer"}


async def test_a_name_that_has_moved_inside_since_the_request_is_refused(
    internet: Internet,
) -> None:
    internet.names["moves.example"] = [[PUBLIC], ["169.254.169.254"]]
    await GUARD.check("http://moves.example/")
    assert NOT_PUBLIC in await failure("http://moves.example/")
    assert internet.connections == []


async def test_a_name_that_moves_inside_after_the_check_changes_nothing(
    internet: Internet,
) -> None:
    internet.names["moves.example"] = [[PUBLIC], ["127.0.0.1"]]
    internet.answers["moves.example/"] = ok(b"")
    await post("http://moves.example/")
    assert internet.connections == [(PUBLIC, 80)]


async def test_a_redirect_is_a_failure_and_not_followed(internet: Internet) -> None:
    internet.answers["files.example/"] = redirect("http://127.0.0.1/")
    assert await failure(HERE) == "answered 302"
    assert internet.connections == [(PUBLIC, 80)]


async def test_the_next_address_is_tried_where_one_cannot_be_reached(internet: Internet) -> None:
    internet.names["two.example"] = [[PUBLIC_IPV6, PUBLIC]]
    internet.answers["two.example/"] = ok(b"")
    await post("http://two.example/")
    assert internet.connections == [(PUBLIC_IPV6, 80), (PUBLIC, 80)]


async def test_a_host_that_cannot_be_reached_is_a_failure(internet: Internet) -> None:
    internet.names["six.example"] = [[PUBLIC_IPV6]]
    assert await failure("http://six.example/") == "the exchange failed: ConnectionRefusedError"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_stands_between_the_check_and_the_connection(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://10.9.9.9:3128")
    internet.answers["files.example/"] = ok(b"")
    await post(HERE)
    assert internet.connections == [(PUBLIC, 80)]


async def test_tls_is_to_the_name_although_the_connection_is_to_its_address(
    tmp_path: Path,
) -> None:
    certificate = self_signed(tmp_path, "files.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    internet = Internet(NAMES | {"other.example": [[PUBLIC]]}, {"files.example/": ok(b"")})
    async with internet.opened(server):
        assert "SSLCertVerificationError" in await failure("https://files.example/")
        await post("https://files.example/", tls=trusting)
        assert "SSLCertVerificationError" in await failure("https://other.example/", trusting)
    assert internet.connections == [(PUBLIC, 443)] * 3
    assert len(internet.requests) == 1


async def test_on_a_laptop_this_machine_may_be_told_on_any_port(internet: Internet) -> None:
    internet.names["localhost"] = [["127.0.0.1", "::1"]]
    internet.answers["localhost:8004/"] = ok(b"")
    url = "http://localhost:8004/"
    await PublicWebhookGuard(LAPTOP).check(url)
    await post(url, LAPTOP)
    assert internet.connections == [("127.0.0.1", 8004)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1:8004/", PORT),
        ("http://files.example:8004/", PORT),
        ("http://10.0.0.1/", NOT_PUBLIC),
        ("http://169.254.169.254/", NOT_PUBLIC),
        ("http://mixed.example/", NOT_PUBLIC),
        ("http://user@127.0.0.1/", "credentials"),
        ("http://unknown.example:8004/", NOT_PUBLIC),
    ],
)
async def test_and_nothing_else_that_is_not_public(
    internet: Internet, url: str, reason: str
) -> None:
    internet.names["mixed.example"] = [["127.0.0.1", "10.0.0.1"]]
    assert reason in await refusal(url, PublicWebhookGuard(LAPTOP))


async def test_where_there_is_no_secret_there_are_no_webhooks() -> None:
    guard = webhook_guard(Settings())
    assert isinstance(guard, NoWebhooks)
    assert "this deployment has no webhooks" in await refusal("https://files.example/", guard)


@pytest.mark.parametrize("task_root", [None, "/var/task", "/home/ana/functions/stream"])
async def test_the_allowance_for_this_machine_is_never_one_on_lambda(
    internet: Internet, task_root: str | None
) -> None:
    given = {"AGENTRUN_WEBHOOKS": "true", "AGENTRUN_WEBHOOK_LOOPBACK": "true"}
    given |= {} if task_root is None else {"LAMBDA_TASK_ROOT": task_root}
    guard = webhook_guard(Settings.from_environment(given))
    if task_root == "/var/task":
        assert NOT_PUBLIC in await refusal("http://127.0.0.1/", guard)
    else:
        await guard.check("http://127.0.0.1/")
    without = webhook_guard(Settings.from_environment({"AGENTRUN_WEBHOOKS": "true"}))
    assert NOT_PUBLIC in await refusal("http://127.0.0.1/", without)
    assert internet.connections == []


async def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hangs(*_: object, **__: object) -> None:
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        impatient = PublicWebhookGuard(PublicHosts(), timeout_s=0.05)
        assert NOT_PUBLIC in await refusal("http://files.example/", impatient)
    finally:
        answered.set()


@settings(max_examples=100, deadline=None)
@given(URLS)
def test_no_url_whatever_leads_to_an_address_that_is_not_global(url: str) -> None:
    internet = Internet({name: [*answers] for name, answers in NAMES.items()})

    async def attempt() -> str:
        async with internet.opened():
            return await failure(url)

    assert asyncio.run(attempt())
    assert all(ip_address(address).is_global for address, _ in internet.connections)
    assert all(port in (80, 443) for _, port in internet.connections)
