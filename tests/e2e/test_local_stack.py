"""The local stack behaves like Lambda and API Gateway, over real sockets and processes."""

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrun_local.addresses import Addresses, running_addresses
from tests.e2e.conftest import (
    LocalStack,
    agentrun,
    is_running,
    running_stack,
    stand_in_copy,
    wait_until,
)

DOORS = [("rest_api", "/stream"), ("function_url", "/")]
each_door = pytest.mark.parametrize(("door", "path"), DOORS, ids=[door for door, _ in DOORS])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the path at which a file lets the streaming function go on."""
    return tmp_path / "gate"


def call(stack: LocalStack, path: str, **order: Any) -> httpx.Response:
    return httpx.post(
        f"{stack.rest_api}{path}", json=order, headers={"Authorization": "allow"}, timeout=20
    )


def authorized(stack: LocalStack, token: str) -> int:
    headers = {"Authorization": token}
    body = {"do": "tell"}
    return httpx.post(f"{stack.rest_api}/buffered", json=body, headers=headers).status_code


def questions(stack: LocalStack, token: str) -> int:
    asked = (stack.folder / "authorizer" / "questions.txt").read_text().splitlines()
    return asked.count(token)


@contextmanager
def streaming(
    stack: LocalStack, door: str, path: str, gate: Path, then: str
) -> Iterator[tuple[httpx.Response, Iterator[bytes]]]:
    url = getattr(stack, door) + path
    order = {"gate": str(gate), "then": then}
    with httpx.stream("POST", url, json=order, timeout=20) as response:
        yield response, response.iter_raw()


@each_door
def test_a_chunk_arrives_while_the_function_is_still_running(
    stand_in: LocalStack, door: str, path: str, gate: Path
) -> None:
    with streaming(stand_in, door, path, gate, "end") as (response, chunks):
        assert next(chunks) == b"first"
        gate.touch()
        assert b"".join(chunks) == b"last"
    assert response.status_code == 201


@each_door
@pytest.mark.parametrize("how", ["fail", "exit"])
def test_a_failure_in_mid_stream_cuts_the_connection(
    stand_in: LocalStack, door: str, path: str, gate: Path, how: str
) -> None:
    with streaming(stand_in, door, path, gate, how) as (_, chunks):
        assert next(chunks) == b"first"
        gate.touch()
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)


@each_door
def test_a_client_that_goes_away_does_not_stop_the_function(
    stand_in: LocalStack, door: str, path: str, gate: Path
) -> None:
    with streaming(stand_in, door, path, gate, "end") as (_, chunks):
        assert next(chunks) == b"first"
    gate.touch()
    done = gate.with_suffix(".done")
    wait_until(lambda: done.exists() and done.read_text() == "202", "the response was taken")


def test_streams_share_one_process(stand_in: LocalStack, gate: Path) -> None:
    first = streaming(stand_in, "function_url", "/", gate, "end")
    second = streaming(stand_in, "rest_api", "/stream", gate, "end")
    with first as (one, _), second as (other, _):
        assert one.headers["x-pid"] == other.headers["x-pid"]
        gate.touch()


def test_a_second_process_serves_when_the_first_is_busy(
    stand_in: LocalStack, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        order = {"do": "meet", "folder": str(tmp_path), "parties": 2}
        calls = [pool.submit(call, stand_in, "/buffered", **order) for _ in range(2)]
    assert len({answer.result().json()["pid"] for answer in calls}) == 2


@pytest.mark.parametrize("how", ["exit", "raise"])
def test_a_function_that_fails_is_a_502_and_the_next_request_is_served(
    stand_in: LocalStack, how: str
) -> None:
    failed = call(stand_in, "/buffered", do=how)
    assert failed.status_code == 502
    assert failed.headers["content-type"] == "application/problem+json"
    assert failed.json() == {"detail": "Internal server error"}
    assert call(stand_in, "/buffered", do="tell").status_code == 200


def test_a_process_that_overruns_its_time_is_killed(stand_in: LocalStack) -> None:
    before = call(stand_in, "/slow", do="tell").json()["pid"]
    assert call(stand_in, "/slow", do="hang").status_code == 502
    wait_until(lambda: not is_running(before), "the process ended")
    assert call(stand_in, "/slow", do="tell").json()["pid"] != before


@pytest.mark.parametrize("answer", ["text", {"body": "no status"}, {"statusCode": "no"}, None])
def test_an_answer_that_is_no_http_response_is_a_502(stand_in: LocalStack, answer: Any) -> None:
    assert call(stand_in, "/open", do="answer", **{"with": answer}).status_code == 502


def test_an_answer_of_more_than_6_mb_is_a_502(stand_in: LocalStack) -> None:
    # 6 291 556 bytes with the JSON around them.
    most = 6_291_556 - len('{"statusCode": 200, "body": ""}')
    assert len(call(stand_in, "/open", do="fill", bytes=most).content) == most
    assert call(stand_in, "/open", do="fill", bytes=most + 1).status_code == 502


def test_a_request_that_makes_an_event_of_more_than_6_mb_is_a_413(stand_in: LocalStack) -> None:
    assert call(stand_in, "/open", do="tell", padding="x" * 6_000_000).status_code == 200
    assert call(stand_in, "/open", do="tell", padding="x" * 6_300_000).status_code == 413
    url = f"{stand_in.function_url}/"
    assert httpx.post(url, json={"padding": "x" * 6_300_000}).status_code == 413


def test_a_token_is_asked_about_once(stand_in: LocalStack) -> None:
    token = f"allow-{uuid.uuid4()}"
    assert [authorized(stand_in, token) for _ in range(3)] == [200, 200, 200]
    assert questions(stand_in, token) == 1


def test_a_refusal_is_remembered_too_but_an_unknown_token_is_not(stand_in: LocalStack) -> None:
    denied, unknown = f"deny-{uuid.uuid4()}", f"else-{uuid.uuid4()}"
    assert [authorized(stand_in, denied) for _ in range(2)] == [403, 403]
    assert [authorized(stand_in, unknown) for _ in range(2)] == [401, 401]
    assert (questions(stand_in, denied), questions(stand_in, unknown)) == (1, 2)


def test_parameters_and_the_variables_of_a_file_reach_the_functions(stand_in: LocalStack) -> None:
    told = call(stand_in, "/open", do="tell").json()
    assert (told["greeting"], told["secret"]) == ("ahoy", "of a file")


def test_changed_code_serves_the_next_request_and_the_old_one_finishes(
    stand_in: LocalStack, tmp_path: Path
) -> None:
    app = stand_in.folder / "buffered" / "app.py"
    with ThreadPoolExecutor() as pool:
        order = {"do": "meet", "folder": str(tmp_path), "parties": 2}
        old = pool.submit(call, stand_in, "/buffered", **order)
        wait_until(lambda: len(list(tmp_path.iterdir())) == 1, "the function has begun")
        assert call(stand_in, "/buffered", do="tell").json()["version"] == 1
        app.write_text(app.read_text().replace("VERSION = 1", "VERSION = 2"))
        wait_until(
            lambda: call(stand_in, "/buffered", do="tell").json()["version"] == 2, "a reload"
        )
        (tmp_path / "company").touch()
        assert old.result().json()["version"] == 1


def test_changed_code_takes_over_from_a_process_that_streams(
    stand_in: LocalStack, gate: Path, tmp_path: Path
) -> None:
    open_gate = tmp_path / "open"
    open_gate.touch()

    def pid_of_a_stream() -> str:
        with streaming(stand_in, "function_url", "/", open_gate, "end") as (response, chunks):
            assert b"".join(chunks) == b"firstlast"
        return str(response.headers["x-pid"])

    with streaming(stand_in, "function_url", "/", gate, "end") as (old, chunks):
        runtime = stand_in.folder / "streaming" / "runtime.py"
        runtime.write_text(f"{runtime.read_text()}\n")
        wait_until(lambda: pid_of_a_stream() != old.headers["x-pid"], "a reload")
        gate.touch()
        assert b"".join(chunks) == b"firstlast"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(tmp_path: Path, how: signal.Signals) -> None:
    template = stand_in_copy(tmp_path / "application")
    with (
        running_stack(template, tmp_path, "--dynamodb-url", "http://127.0.0.1:9") as stack,
        ThreadPoolExecutor() as pool,
    ):
        assert len(stack.pids) == 5
        assert all(is_running(pid) for pid in stack.pids)
        assert running_addresses(template) == Addresses(stack.rest_api, stack.function_url)
        # One is busy, and would not notice by itself that the stack has gone.
        order = {"do": "meet", "folder": str(stack.folder / "slow"), "parties": 9}
        (stack.folder / "slow").mkdir()
        busy = pool.submit(call, stack, "/buffered", **order)
        wait_until(lambda: any((stack.folder / "slow").iterdir()), "the function has begun")
        os.kill(stack.process.pid, how)
        status = stack.process.wait(15)
        wait_until(lambda: not any(map(is_running, stack.pids)), "all processes have ended")
        assert isinstance(busy.exception(), httpx.RemoteProtocolError) or busy.result().is_error
    assert status == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    # The file of a stack that was killed is still there.
    assert running_addresses(template) is None
    assert (template.parent / ".agentrun/stack.json").exists() == (how == signal.SIGKILL)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = agentrun("dev", "--port", str(port), "--url-port", "0", output=output)
        assert process.wait(30) == 1
    assert output.read_text() == (
        f"agentrun: Port {port} cannot be used (Address already in use); "
        "take another with --port or --url-port.\n"
    )


def test_another_users_run_is_not_there(local_stack: LocalStack) -> None:
    with local_stack.client() as client:
        run_id = client.post("/api/agents/echo/runs", json={"message": "x"}).json()["runId"]
    with local_stack.client(user="somebody-else") as client:
        assert client.get(f"/api/agents/echo/runs/{run_id}").status_code == 404
