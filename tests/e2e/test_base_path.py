"""The local stack below a base path: both doors, the functions' own processes, real sockets."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import ROOT, WAIT_S, LocalStack, running_stack

ORIGIN = "https://app.example"
DOORS = ("rest_api", "function_url")
each_door = pytest.mark.parametrize("door", DOORS)
with_and_without = pytest.mark.parametrize("prefix", ["/assist", ""])
RUNS = "/api/agents/echo/runs"


@pytest.fixture(scope="module")
def mapped_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Run this project's own stack as a domain with a base path would serve it."""
    given = ("BasePath=/assist", "CorsAllowHeaders=X-Api-Version", f"CorsOrigins={ORIGIN}")
    options = [part for value in given for part in ("--parameter", value)]
    folder = tmp_path_factory.mktemp("mapped")
    with running_stack(ROOT / "template.yaml", folder, *options) as stack:
        yield stack


def streamed(client: httpx.Client, path: str) -> tuple[httpx.Response, list[str]]:
    with client.stream("POST", path, json={"message": "hi"}) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return answer, [json.loads(line.removeprefix("data: "))["event"] for line in lines]


@each_door
@with_and_without
def test_a_run_is_streamed_and_attached_to(
    mapped_stack: LocalStack, door: str, prefix: str
) -> None:
    with mapped_stack.client(door) as client:
        answer, events = streamed(client, f"{prefix}{RUNS}/stream")
        assert answer.status_code == 200
        assert events == ["START", "CONTENT_DELTA", "METRICS", "STOP"]
        run = answer.headers["x-run-id"]
        replay = client.get(f"{prefix}{RUNS}/{run}/stream", headers={"Last-Event-ID": "3"})
    assert replay.status_code == 200
    assert "STOP" in replay.text
    with mapped_stack.client() as client:
        found = client.get(f"{prefix}{RUNS}/{run}")
        assert (found.status_code, found.json()["status"]) == (200, "COMPLETED")
        assert client.get(f"{prefix}/api/sessions?page=0&size=1").json()["number"] == 0


@with_and_without
def test_a_ticket_opens_its_stream(mapped_stack: LocalStack, prefix: str) -> None:
    with mapped_stack.client() as client:
        run = client.post(f"{prefix}{RUNS}", json={"message": "hi"}).json()["runId"]
        url = client.post(f"{prefix}{RUNS}/{run}/stream-ticket").json()["url"]
    # The URL is the Function URL's own, which has no base path; what is in front has one.
    own, path = mapped_stack.function_url, f"{RUNS}/{run}/stream"
    assert url.startswith(f"{own}{path}?ticket=")
    opened = url.replace(path, f"{prefix}{path}")
    answer = httpx.get(opened, headers={"Origin": ORIGIN}, timeout=WAIT_S)
    assert (answer.status_code, "STOP" in answer.text) == (200, True)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    refused = httpx.get(opened, timeout=WAIT_S)
    assert (refused.status_code, refused.json()["instance"]) == (401, f"{prefix}{path}")


@each_door
def test_a_path_that_only_begins_like_the_base_path_is_404(
    mapped_stack: LocalStack, door: str
) -> None:
    with mapped_stack.client(door) as client:
        for path in (f"/assistant{RUNS}", "/assist", f"/assist/assist{RUNS}"):
            answer = client.post(path, json={"message": "hi"})
            assert (answer.status_code, answer.json()["instance"]) == (404, path)


@with_and_without
def test_a_wrong_method_is_405_on_the_function_url_and_404_on_the_rest_api(
    mapped_stack: LocalStack, prefix: str
) -> None:
    for door, status in (("function_url", 405), ("rest_api", 404)):
        with mapped_stack.client(door) as client:
            for method in ("PUT", "HEAD"):
                answer = client.request(
                    method, f"{prefix}{RUNS}/stream", headers={"Origin": ORIGIN}
                )
                assert answer.status_code == status
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["access-control-allow-origin"] in {ORIGIN, "*"}


@each_door
@with_and_without
def test_a_preflight_allows_tracing_and_the_deployments_own_headers(
    mapped_stack: LocalStack, door: str, prefix: str
) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,sentry-trace,traceparent,x-api-version",
    }
    url = f"{getattr(mapped_stack, door)}{prefix}{RUNS}/stream"
    answer = httpx.options(url, headers=asked, timeout=WAIT_S)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in {ORIGIN, "*"}
    named = answer.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= set(named)


@with_and_without
def test_a_refused_preflight_is_a_problem(mapped_stack: LocalStack, prefix: str) -> None:
    url = f"{mapped_stack.function_url}{prefix}{RUNS}/stream"
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(url, headers=asked, timeout=WAIT_S)
    assert (answer.status_code, answer.json()["instance"]) == (400, f"{prefix}{RUNS}/stream")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in answer.headers
