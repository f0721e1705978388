"""Conversations through the status function, as API Gateway calls it."""

import json
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai.messages import (
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.endings import CancelledByRequest
from agentrun.domain.events import Metrics
from tests.integration.conftest import Handler, event_file
from tests.integration.gateway import Talk, talker
from tests.runs import completed, deltas, failed
from tests.tables import TABLE, client_of

LAMBDA_LIMIT_BYTES = 6_291_556
"""What Lambda says in its refusal of a larger answer."""


def of_session(name: str, session_id: str) -> dict[str, Any]:
    """Return the payload of this file for this session."""
    event = event_file(name)
    wanted = event["pathParameters"]["sessionId"]
    renamed: dict[str, Any] = json.loads(json.dumps(event).replace(wanted, session_id))
    return renamed


def talks(store: DynamoRunStore, user: str, count: int) -> list[Talk]:
    """Have conversations of one run each, one after another."""
    found = [Talk(store, user, later_s=number / 10) for number in range(count)]
    for number, talk in enumerate(found):
        talk.turn(f"{user}-{number}")
    return found


def test_a_session_is_listed_and_shown_alike(handler: Handler, store: DynamoRunStore) -> None:
    dora, talk = talker(handler, "dora"), Talk(store, "dora")
    talk.turn("dora-1", "How are\nyou?")
    status, listed = dora.call(event_file("list-sessions.json"))
    assert (status, listed) == (
        200,
        {"content": [], "number": 0, "size": 20, "totalElements": 0, "totalPages": 0},
    )
    _, listed = dora.get("/api/sessions", size=["7"], cursor=[""], agentId=[""])
    assert listed["size"] == 7
    assert "nextCursor" not in listed
    (shown,) = listed["content"]
    assert {shown.pop("createdAt")[-1], shown.pop("updatedAt")[-1]} == {"Z"}
    assert shown == {
        "id": talk.id,
        "sessionId": talk.id,
        "agentId": "echo",
        "userId": "dora",
        "title": "How are you?",
    }
    status, single = dora.call(of_session("get-session.json", talk.id))
    assert single.pop("messages") == dora.call(of_session("session-messages.json", talk.id))[1]
    assert (status, [single]) == (200, dora.get("/api/sessions")[1]["content"])


def test_the_list_is_paged_by_number_and_counted(handler: Handler, store: DynamoRunStore) -> None:
    cleo = talker(handler, "cleo")
    newest_first = [talk.id for talk in reversed(talks(store, "cleo", 5))]
    for number in range(3):
        status, page = cleo.get("/api/sessions", size=["2"], page=[str(number)], cursor=[""])
        assert status == 200
        shown = [session["id"] for session in page.pop("content")]
        assert shown == newest_first[2 * number : 2 * number + 2]
        assert ("nextCursor" in page) == (number < 2)
        page.pop("nextCursor", "")
        assert page == {"number": number, "size": 2, "totalElements": 5, "totalPages": 3}
    beyond = {"content": [], "size": 2, "totalElements": 5, "totalPages": 3}
    for far in (3, 1_000_000):
        answer = cleo.get("/api/sessions", size=["2"], page=[str(far)])
        assert answer == (200, {**beyond, "number": far})


def test_a_page_by_cursor_has_no_number_but_the_totals(
    handler: Handler, store: DynamoRunStore
) -> None:
    talks(store, "ines", 3)
    ines = talker(handler, "ines")
    _, first = ines.get("/api/sessions", size=["2"])
    _, last = ines.get("/api/sessions", size=["2"], cursor=[first["nextCursor"]])
    assert first["number"] == 0
    assert set(last) == {"content", "size", "totalElements", "totalPages"}
    assert (len(last["content"]), last["totalElements"], last["totalPages"]) == (1, 3, 2)


def test_totals_are_of_the_agent_that_was_asked_for(
    handler: Handler, store: DynamoRunStore
) -> None:
    talks(store, "otto", 3)
    otto = talker(handler, "otto")
    for agent, total in (("echo", 3), ("analyst", 0)):
        _, page = otto.get("/api/sessions", agentId=[agent], size=["2"], page=["0"])
        assert (page["totalElements"], len(page["content"])) == (total, min(total, 2))


def test_a_page_and_a_cursor_together_are_refused(handler: Handler, store: DynamoRunStore) -> None:
    talks(store, "rosa", 2)
    rosa = talker(handler, "rosa")
    _, first = rosa.get("/api/sessions", size=["1"])
    status, problem = rosa.get("/api/sessions", page=["1"], cursor=[first["nextCursor"]])
    assert (status, problem["type"]) == (400, "urn:problem-type:invalid-request")
    assert problem["invalidParams"][0]["name"] == "page"


def test_the_list_is_paged_the_most_recently_used_first(
    handler: Handler, store: DynamoRunStore
) -> None:
    eve, had = talker(handler, "eve"), talks(store, "eve", 5)
    had[0].turn("eve-again")
    found, cursor = [], ""
    for _ in range(3):
        status, page = eve.get("/api/sessions", size=["2"], cursor=[cursor])
        assert status == 200
        found += [session["id"] for session in page["content"]]
        cursor = page.get("nextCursor", "")
    assert cursor == ""
    assert found == [had[n].id for n in (0, 4, 3, 2, 1)]


def test_a_cursor_of_somebody_elses_or_nobodys_is_refused(
    handler: Handler, store: DynamoRunStore
) -> None:
    talks(store, "finn", 2)
    _, page = talker(handler, "finn").get("/api/sessions", size=["1"])
    for cursor in (page["nextCursor"], "forged", "é", "AAAAAAAAAAAA", f"{page['nextCursor']}A"):
        status, problem = talker(handler, "gus").get("/api/sessions", cursor=[cursor])
        assert (status, problem["invalidParams"][0]["name"]) == (400, "cursor")


def test_only_an_admin_lists_the_sessions_of_others(
    handler: Handler, store: DynamoRunStore
) -> None:
    talk = Talk(store, "hal")
    talk.turn("hal-1")
    admin = talker(handler, "root", scope="", roles="admin")
    assert [s["id"] for s in admin.get("/api/sessions", userId=["hal"])[1]["content"]] == [talk.id]
    assert talker(handler, "ida").get("/api/sessions", userId=["hal"])[0] == 403
    assert talker(handler, "hal").get("/api/sessions", userId=["hal"])[0] == 200
    elsewhere = talker(handler, "root", roles="admin", orgId="umbrella")
    assert elsewhere.get("/api/sessions", userId=["hal"])[1]["content"] == []


def test_runs_are_shown_as_in_the_batch_the_oldest_first(
    handler: Handler, store: DynamoRunStore
) -> None:
    jan, talk = talker(handler, "jan"), Talk(store, "jan")
    talk.turn("jan-1", "one", completed("é" * 4_000))
    talk.turn("jan-2", "two", failed())
    talk.begin("jan-3", "three")
    status, runs = jan.call(of_session("session-runs.json", talk.id))
    _, batch = jan.get("/api/agents/echo/runs/status", runIds=["jan-1,jan-2,jan-3"])
    assert (status, runs) == (200, batch)
    assert [run["status"] for run in runs] == ["COMPLETED", "FAILED", "RUNNING"]
    assert (len(runs[0]["output"]), runs[0]["outputTruncated"]) == (2_048, True)


def test_messages_are_what_user_assistant_and_tools_have_said(
    handler: Handler, store: DynamoRunStore
) -> None:
    kim, talk = talker(handler, "kim"), Talk(store, "kim")
    remembered = ModelMessagesTypeAdapter.dump_json(
        [
            ModelRequest(parts=[UserPromptPart("17 * 23?")]),
            ModelResponse(parts=[ToolCallPart("calculate", {"expression": "17 * 23"}, "id-1")]),
            ModelRequest(parts=[ToolReturnPart("calculate", {"value": 391}, "id-1")]),
            ModelResponse(parts=[TextPart("It is 391.")]),
        ]
    ).decode()
    cancelled = CancelledByRequest(output="so", metrics=Metrics(), last_event_id=3, reason="asked")
    talk.turn("kim-1", "17 * 23?", completed("It is 391.", messages=remembered))
    talk.turn("kim-2", "Hi \u0000🙂", completed("Hello."))
    talk.turn("kim-3", "three", cancelled)
    talk.turn("kim-4", "four", failed())
    talk.begin("kim-5", "five")
    status, messages = kim.call(of_session("session-messages.json", talk.id))
    assert status == 200
    assert [(said["runId"], said["role"], said["content"]) for said in messages] == [
        ("kim-1", "user", "17 * 23?"),
        ("kim-1", "tool", '{"value":391}'),
        ("kim-1", "assistant", "It is 391."),
        ("kim-2", "user", "Hi \u0000🙂"),
        ("kim-2", "assistant", "Hello."),
        ("kim-3", "user", "three"),
        ("kim-3", "assistant", "so"),
        ("kim-4", "user", "four"),
        ("kim-4", "assistant", "so far"),
    ]
    assert all(set(said) == {"role", "content", "createdAt", "runId"} for said in messages)
    assert all(said["createdAt"].endswith("Z") for said in messages)


@pytest.mark.parametrize("text", ["plain ", '"quoted"\\', "\u0001"])
def test_an_answer_stays_within_what_lambda_takes_and_keeps_the_newest(
    handler: Handler, store: DynamoRunStore, text: str
) -> None:
    lea, talk = talker(handler, "lea"), Talk(store, "lea")
    run_ids = [str(uuid4()) for _ in range(5)]
    for run_id in run_ids:
        talk.turn(run_id, run_id, completed(text * (2_000_000 // len(json.dumps(text)))))
    status, messages = lea.call(of_session("session-messages.json", talk.id))
    assert status == 200
    assert messages[-1]["runId"] == run_ids[-1]
    assert 2 <= len(messages) < 10
    assert 2_000_000 < lea.size_bytes < LAMBDA_LIMIT_BYTES
    status, session = lea.call(of_session("get-session.json", talk.id))
    # The session itself takes some room from the oldest message, which is cut.
    assert (status, session["messages"][1:]) == (200, messages[1:])
    assert lea.size_bytes < LAMBDA_LIMIT_BYTES


def test_what_is_not_the_callers_does_not_exist(handler: Handler, store: DynamoRunStore) -> None:
    talk = Talk(store, "mia")
    talk.turn("mia-1")
    strangers = (talker(handler, "ned"), talker(handler, "mia", orgId="umbrella"))
    names = ("get-session", "session-runs", "session-messages", "delete-session")
    for stranger in strangers:
        for name in names:
            for session_id in (talk.id, str(uuid4()), "a%23b", "x" * 65):
                status, problem = stranger.call(of_session(f"{name}.json", session_id))
                assert (status, problem["type"]) == (404, "urn:problem-type:resource-not-found")
    assert talker(handler, "mia").call(of_session("get-session.json", talk.id))[0] == 200


def test_deleting_needs_the_right_to_write(handler: Handler, store: DynamoRunStore) -> None:
    talk = Talk(store, "ole")
    talk.turn("ole-1")
    reader = talker(handler, "ole", scope="runs:read")
    assert reader.call(of_session("delete-session.json", talk.id))[0] == 403
    assert reader.call(of_session("get-session.json", talk.id))[0] == 200
    nobody = talker(handler, "ole", scope="")
    assert nobody.call(of_session("get-session.json", talk.id))[0] == 403


def test_a_deleted_session_is_404_with_all_its_runs_and_may_start_afresh(
    handler: Handler, store: DynamoRunStore
) -> None:
    pia, talk = talker(handler, "pia"), Talk(store, "pia")
    log = DynamoEventLog(Table(client_of(), TABLE))
    for run in (talk.turn("pia-1", "x" * 9_000), talk.begin("pia-2")):
        log.append(run.key, deltas(1, 3), at=run.created_at)
    assert pia.call(of_session("delete-session.json", talk.id)) == (204, None)
    for name in ("get-session", "session-runs", "session-messages", "delete-session"):
        assert pia.call(of_session(f"{name}.json", talk.id))[0] == 404
    for run_id in ("pia-1", "pia-2"):
        assert pia.get(f"/api/agents/echo/runs/{run_id}")[0] == 404
    assert pia.get("/api/agents/echo/runs/status", runIds=["pia-1,pia-2"]) == (200, [])
    assert pia.get("/api/sessions")[1]["content"] == []
    left = client_of().scan(TableName=TABLE)["Items"]
    of_pia = [item for item in left if "pia-" in str(item) or talk.id in str(item)]
    # Marks against what comes late: nothing of the content, and not for ever.
    assert [item for item in of_pia if item.keys() != {"pk", "sk", "ttl"}] == []
    talk.turn("pia-3", "afresh")
    _, messages = pia.call(of_session("session-messages.json", talk.id))
    assert [said["content"] for said in messages] == ["afresh", "hi"]
