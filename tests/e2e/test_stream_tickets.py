"""Tickets at the local stack's doors: the URL leads to the Function URL's, for one connection."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import WAIT_S, LocalStack, wait_until
from tests.e2e.sse import Frame, frames_of

RUNS = "/api/agents/echo/runs"
AT_ONCE = 8


@pytest.fixture
def url(local_stack: LocalStack) -> str:
    """Start a run, and issue a ticket for its stream."""
    user = f"browser-{uuid4()}"
    with local_stack.client(user=user) as client:
        body = {"message": "/emit 20 every 20"}
        run_id = client.post(f"{RUNS}/background", json=body).json()["runId"]
        issued = client.post(f"{RUNS}/{run_id}/stream-ticket")
    assert issued.status_code == 201
    url: str = issued.json()["url"]
    assert url.startswith(f"{local_stack.function_url}{RUNS}/{run_id}/stream?ticket=")
    return url


def opened(url: str, *, cursor: int = 0, frames: int | None = None) -> tuple[int, list[Frame]]:
    """Open a stream as a browser does, and leave it after so many frames."""
    headers = {"Last-Event-ID": str(cursor)} if cursor else {}
    with httpx.stream("GET", url, headers=headers, timeout=WAIT_S) as answer:
        if answer.status_code != 200:
            return answer.status_code, []
        return 200, list(islice(frames_of(answer.iter_raw()), frames))


def test_of_connections_at_once_one_is_served(url: str) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(opened, [url] * AT_ONCE))
    assert sorted(status for status, _ in answers) == [200, *[401] * (AT_ONCE - 1)]
    (frames,) = (frames for status, frames in answers if status == 200)
    assert [frame.id for frame in frames] == list(range(1, 24))


def test_a_reader_that_was_cut_off_reads_on_and_no_log_has_its_ticket(
    local_stack: LocalStack, url: str
) -> None:
    _, seen = opened(url, frames=5)
    while len(seen) < 23:
        status, more = opened(url, cursor=seen[-1].id, frames=5)
        assert status == 200
        seen += more
    assert [frame.id for frame in seen] == list(range(1, 24))
    assert opened(url, cursor=23) == (204, [])
    assert opened(url) == (401, [])
    path, _, query = url.removeprefix(local_stack.function_url).partition("?")
    lines = (f"GET {path} 200", f"GET {path} 204", f"GET {path} 401", f"{path}-ticket 201")
    # A door writes its line once the answer has been sent.
    wait_until(lambda: all(line in local_stack.log.read_text() for line in lines), "all is logged")
    assert query.removeprefix("ticket=") not in local_stack.log.read_text()
