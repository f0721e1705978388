"""The largest answers of the status function, as Lambda's own runtime would send them."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import to_json as lambda_json  # type: ignore[import-untyped] # no stubs

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.events import Paused, PendingApproval
from agentrun.http.answer_size import HEADERS_BYTES
from agentrun.service.executing.run_events import MAX_APPROVAL_BYTES, MAX_OUTPUT_BYTES
from tests.integration.conftest import Handler
from tests.integration.gateway import Gateway, Talk, alive
from tests.runs import EXECUTOR, a_request, completed, paused
from tests.tables import TABLE, client_of

LAMBDA_LIMIT_BYTES = 6_291_556
"""As Lambda's error says it: "Exceeded maximum allowed payload size (6291556 bytes)"."""
MAX_INPUT_CHARACTERS = 100_000
PIECES = ['"', "\n", "\\", "\x01", "é", "🙂", 'say "no"\n', "plain text "]


@pytest.fixture
def sent(app_module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> "SentAnswers":
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")
    return SentAnswers(app_module("status").handler)


class SentAnswers:
    """The status function's answers with the size that awslambdaric gives them."""

    def __init__(self, handler: Handler) -> None:
        self.size_bytes = 0
        self._handler = handler
        self._ana = Gateway(self._measured)

    def _measured(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        answer = self._handler(event, context)
        self.size_bytes = len(lambda_json(answer).encode())
        return answer

    def get(self, path: str, **query: list[str]) -> Any:
        status, body = self._ana.get(path, **query)
        assert (status, self.size_bytes <= LAMBDA_LIMIT_BYTES) == (200, True), self.size_bytes
        return body


@pytest.fixture
def store(sent: SentAnswers) -> DynamoRunStore:
    return DynamoRunStore(Table(client_of(), TABLE))


def copied(run_id: str, new_ids: Iterable[str]) -> None:
    """Store a run again and again: for each turn through the store moto copies the whole table."""
    client = client_of()
    items: list[Any] = client.scan(TableName=TABLE)["Items"]
    of_run = [item for item in items if f"#{run_id}" in item["pk"]["S"] + item["sk"]["S"]]
    for new_id in new_ids:
        for item in of_run:
            keys = {name: {"S": item[name]["S"].replace(run_id, new_id)} for name in ("pk", "sk")}
            client.put_item(TableName=TABLE, Item=item | keys)


def ended(store: DynamoRunStore, run_id: str, said: str, output: str) -> None:
    run = alive(run_id, session_id=f"session-of-{run_id}", input=said)
    store.start(run, a_request(said))
    store.finish(run.key, EXECUTOR, completed(output), at=SystemClock().now())


def filled(piece: str, size_bytes: int) -> str:
    return piece * (size_bytes // len(piece.encode()))


@pytest.mark.parametrize("piece", PIECES)
def test_a_run_of_the_largest_output_fits_and_has_as_much_of_it_as_fits(
    sent: SentAnswers, store: DynamoRunStore, piece: str
) -> None:
    output, said = filled(piece, MAX_OUTPUT_BYTES), "." + filled(piece, MAX_INPUT_CHARACTERS - 1)
    run_id = f"large-{PIECES.index(piece)}"
    ended(store, run_id, said, output)
    shown = sent.get(f"/api/agents/echo/runs/{run_id}")
    assert shown["input"] == said
    assert "inputTruncated" not in shown
    assert output.startswith(shown["output"])
    is_whole = shown["output"] == output
    assert shown.get("outputTruncated", False) == (not is_whole)
    assert is_whole == (piece in {"é", "🙂", "plain text "})
    # What is cut fills the answer: all that is left is for headers.
    assert is_whole or LAMBDA_LIMIT_BYTES - sent.size_bytes <= HEADERS_BYTES


@pytest.mark.parametrize("piece", ['"', "\x01"])
def test_a_batch_of_a_hundred_fits_with_the_beginnings_of_all_texts(
    sent: SentAnswers, store: DynamoRunStore, piece: str
) -> None:
    ids = [f"batch-{PIECES.index(piece)}-{number}" for number in range(100)]
    for run_id in ids:
        ended(store, run_id, piece * 5_000, piece * 5_000)
    shown = sent.get("/api/agents/echo/runs/status", runIds=ids)
    assert [run["id"] for run in shown] == ids
    for run in shown:
        assert run["input"] == run["output"] == piece * 4096
        assert run["inputTruncated"] is run["outputTruncated"] is True


def test_a_batch_fits_whose_paused_runs_ask_for_much(
    sent: SentAnswers, store: DynamoRunStore
) -> None:
    ids = [f"paused-{number}" for number in range(100)]
    arguments = {"text": '"' * (MAX_APPROVAL_BYTES // 2 - 100)}
    call = PendingApproval(id="c1", tool="t", tool_name="place_order", arguments=arguments)
    action = Paused(approval_id="a.1", approvals=(call,))
    for run_id in ids:
        run = alive(run_id, session_id=f"session-of-{run_id}")
        store.start(run, a_request())
        until = SystemClock().now().replace(year=2100)
        pause = paused(required_action=action, output='"' * 4096, paused_until=until)
        store.finish(run.key, EXECUTOR, pause, at=SystemClock().now())
    shown = sent.get("/api/agents/echo/runs/status", runIds=ids)
    assert [run["id"] for run in shown] == ids
    assert any("requiredAction" in run for run in shown)
    assert any("requiredAction" not in run for run in shown)
    alone = sent.get(f"/api/agents/echo/runs/{ids[0]}")
    assert alone["requiredAction"]["arguments"] == arguments


def test_a_sessions_last_message_is_cut_rather_than_left_out(
    sent: SentAnswers, store: DynamoRunStore
) -> None:
    talk, output = Talk(store, "ana"), '"' * MAX_OUTPUT_BYTES
    talk.turn("earlier", "hello", completed("hi"))
    talk.turn("last", "more", completed(output))
    messages = sent.get(f"/api/sessions/{talk.id}/messages")
    (last,) = messages
    assert (last["runId"], last["role"], last["contentTruncated"]) == ("last", "assistant", True)
    assert output.startswith(last["content"])
    assert len(last["content"]) > 1_500_000
    (with_session,) = sent.get(f"/api/sessions/{talk.id}")["messages"]
    assert with_session["contentTruncated"] is True
    # The session itself takes some of the room.
    assert len(last["content"]) - 200 < len(with_session["content"]) < len(last["content"])


def test_the_runs_of_a_long_session_fit(sent: SentAnswers, store: DynamoRunStore) -> None:
    talk = Talk(store, "ana")
    talk.turn("turn-000", "\x01" * 5_000, completed("\x01" * 5_000))
    copied("turn-000", (f"turn-{number:03}" for number in range(1, 130)))
    shown = sent.get(f"/api/sessions/{talk.id}/runs")
    assert shown[-1]["id"] == "turn-129"
    assert 90 < len(shown) < 130


@pytest.mark.parametrize("path", ["/api/agents", "/api/v1/openapi.json"])
def test_what_has_nothing_to_cut_is_far_from_the_limit(sent: SentAnswers, path: str) -> None:
    assert sent.get(path)
    assert sent.size_bytes < LAMBDA_LIMIT_BYTES / 20
