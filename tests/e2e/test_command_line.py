"""The client commands of `agentrun` on the local stack, in processes of their own."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from agentrun_local.cli import main
from tests.e2e.command_line_user import AGENTRUN, ORDER, User
from tests.e2e.conftest import LocalStack, wait_until
from tests.e2e.processes import stream_processes_of
from tests.terminal import Terminal, at_terminal

LONG = "/emit 600 every 100"
QUESTION, ANSWER = "What is 17 * 23?", "17 * 23 = 391"


@pytest.fixture
def user(local_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    user = User(local_stack, f"user-{uuid4()}", tmp_path)
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    return user


@pytest.fixture
def finance(user: User) -> Iterator[Terminal]:
    with at_terminal([*AGENTRUN, "chat", "finance_agent"], user.environment) as terminal:
        terminal.expect("Ctrl-D leaves")
        yield terminal


def test_an_answer_pipes_alone_and_byte_for_byte(user: User) -> None:
    message = "é 漢 \x1b[31mred\x1b[0m \x07\ttab\n\nlast"
    done = subprocess.run(
        [*AGENTRUN, "run", "echo", "-"],
        env=user.environment | {"LANG": "C"},
        input=message.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == message.encode()
    assert b"tokens" in done.stderr
    assert b"\x1b" not in done.stderr


def test_the_result_of_a_run_is_json_and_its_tools_are_told_beside(user: User) -> None:
    done = user.does("run", "analyst", QUESTION, "--json", "--idempotency-key", "one")
    result = json.loads(done.stdout)
    assert (result["status"], result["text"]) == ("COMPLETED", ANSWER)
    assert result["tools"][0]["toolOutput"] == 391
    assert 'tool calculate {"expression": "17 * 23"}\ntool calculate gave 391' in done.stderr
    again = user.json("run", "analyst", QUESTION, "--idempotency-key", "one")
    assert again["runId"] == result["runId"]
    refused = user.does("run", "analyst", "Another one", "--idempotency-key", "one")
    assert refused.returncode == 5
    assert refused.stderr.startswith("agentrun: 409 ")


def test_events_come_as_lines(user: User) -> None:
    done = user.does("run", "analyst", QUESTION, "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "START"
    assert events[-1]["event"] == "STOP"
    answer = "".join(event["text"] for event in events if event["event"] == "CONTENT_DELTA")
    assert answer == ANSWER


def test_a_failed_run_ends_with_1_and_says_why(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    done = user.does("run", "echo", "/fail")
    assert done.returncode == 1
    assert "failed: " in done.stderr
    run_id = user.newest()
    assert main(["runs", "watch", run_id]) == 1
    assert main(["runs", "watch", run_id, "--from", "99"]) == 1
    assert "nothing follows: the run is FAILED" in capsys.readouterr().err


def test_a_run_whose_executor_is_killed_ends_with_the_whole_answer(user: User) -> None:
    process = user.start("run", "echo", "/emit 150 every 20")
    wait_until(lambda: bool(user.lines("runs", "list", "--status", "RUNNING")), "it runs")
    for pid in stream_processes_of(user.stack):
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.decode() == "".join(f"{number} " for number in range(1, 151))
    assert "its executor was lost" in err.decode()


def test_ctrl_c_cancels_a_run_in_a_pipe(user: User) -> None:
    process = user.start("run", "echo", LONG)
    wait_until(lambda: bool(user.lines("runs", "list", "--status", "RUNNING")), "it runs")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert b"cancelling the run; Ctrl-C again leaves" in err
    assert user.status(user.newest()) == "CANCELLED"


def test_a_run_in_the_background_is_watched_replayed_and_shown(user: User) -> None:
    run_id = user.does("run", "analyst", QUESTION, "--background").stdout.strip()
    watched = user.does("runs", "watch", run_id)
    assert (watched.returncode, watched.stdout) == (0, ANSWER)
    assert user.json("runs", "get", run_id)["output"] == ANSWER
    replayed = user.does("replay", run_id, "--speed", "max", "--events", "--from", "3")
    events = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert (events[0]["id"], events[-1]["event"]) == (4, "STOP")
    assert user.json("replay", run_id)["text"] == ANSWER
    assert user.does("replay", run_id, "--speed", "100").stdout == ANSWER
    assert main(["replay", run_id, "--speed", "0"]) == 2


def test_what_nobody_decides_is_left_waiting(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = user.paused()
    (waiting,) = user.lines("approvals")
    assert waiting["runId"] == run_id
    assert user.does("runs", "watch", run_id).returncode == 3
    assert main(["runs", "watch", run_id, "--from", "99"]) == 3
    done = user.json("approvals", "reject", waiting["approvalId"], "--reason", "not today")
    assert done["id"] == run_id
    wait_until(lambda: user.status(run_id) == "COMPLETED", "it goes on")
    assert user.lines("approvals", "list") == []
    capsys.readouterr()
    assert main(["approvals"]) == 0
    assert capsys.readouterr() == ("", "nothing waits for a decision\n")
    again = user.does("approvals", "approve", waiting["approvalId"])
    assert again.returncode == 5


def test_approvals_can_be_decided_beforehand(user: User) -> None:
    done = user.does("run", "finance_agent", ORDER, "--approve", "none")
    assert done.returncode == 0
    assert "tool place_order failed" in done.stderr


def test_many_runs_are_watched_until_all_have_ended(user: User) -> None:
    starts = [("echo", "/emit 3 every 300"), ("echo", "/fail"), ("analyst", QUESTION)]
    begun = [user.json("run", *each, "--background")["runId"] for each in starts]
    first, failing, third = begun
    watched = user.does("status", first, failing, third, "--watch", "--json")
    assert watched.returncode == 1
    last = {run["id"]: run["status"] for run in map(json.loads, watched.stdout.splitlines())}
    assert last == {first: "COMPLETED", failing: "FAILED", third: "COMPLETED"}
    table = user.does("status", first, str(uuid4()), "--agent", "echo")
    assert table.returncode == 1
    assert [line.split()[1:3] for line in table.stdout.splitlines()[1:]] == [
        ["COMPLETED", "echo"],
        ["not", "found"],
    ]


def test_conversations_and_agents_are_listed_shown_and_deleted(user: User) -> None:
    session = user.json("run", "echo", "Hello")["sessionId"]
    assert user.json("run", "echo", "Again", "--session", session)["sessionId"] == session
    assert [each["id"] for each in user.lines("sessions", "list", "--agent", "echo")] == [session]
    said = user.json("sessions", "show", session)["messages"]
    assert [message["content"] for message in said] == ["Hello", "Hello", "Again", "Again"]
    assert user.does("sessions", "show", session).stdout == "> Hello\nHello\n> Again\nAgain\n"
    assert user.does("sessions", "delete", session).returncode == 2
    assert user.does("sessions", "delete", session, "--yes").returncode == 0
    assert user.does("sessions", "delete", str(uuid4()), "--yes").returncode == 1
    assert user.does("sessions", "show", session).returncode == 5
    assert "echo" in {agent["id"] for agent in user.lines("agents")}
    assert user.json("agents", "show", "finance_agent")["tools"]
    shown = user.does("agents", "show", "finance_agent").stdout
    assert shown.startswith("id            finance_agent\n")
    assert "place_order (asks for approval)" in shown


def test_a_chat_in_a_pipe_is_plain(user: User) -> None:
    done = user.does("chat", "echo", typed="Hello\n\nThere\\\nand back\n/exit\nnever said\n")
    assert (done.returncode, done.stdout) == (0, "Hello\nThere\nand back\n")
    paused = user.does("chat", "finance_agent", typed=f"{ORDER}\n")
    assert paused.returncode == 3
    assert f"--resume {user.newest()}" in paused.stderr


def test_a_chat_streams_shows_tools_offers_questions_and_goes_on(user: User) -> None:
    with at_terminal([*AGENTRUN, "chat", "analyst"], user.environment) as terminal:
        terminal.expect("> ")
        terminal.type(QUESTION)
        terminal.expect("I am the demo model")
        assert "\x1b[2;3m" in terminal.raw
        terminal.expect("─ calculate ─")
        terminal.expect(r'{"expression": "17 \* 23"}')
        terminal.expect("391")
        terminal.expect(r"\d+ ms ─")
        terminal.expect(r"\n17 \* 23 = 391\n")
        terminal.expect(r"\d+ tokens · ")
        terminal.expect(r"1\. What is 391 \* 2\?")
        terminal.expect("> ")
        terminal.type("1")
        terminal.expect(r"\n391 \* 2 = 782\n")
        terminal.expect("> ")
        terminal.type("/session")
        session = terminal.expect(r"[0-9a-f-]{36}")
        terminal.press("\x04")
        assert terminal.ended() == 0
    command = [*AGENTRUN, "chat", "analyst", "--session", session]
    with at_terminal(command, {**user.environment, "NO_COLOR": "1", "TERM": "dumb"}) as terminal:
        terminal.expect(r"> What is 17 \* 23\?\n")
        terminal.expect(r"391 \* 2 = 782\n")
        terminal.type('"""')
        terminal.type("What is")
        terminal.type('1 + 1?"""')
        terminal.expect('tool calculate {"expression"')
        terminal.expect(r"1 \+ 1 = 2\n")
        terminal.type("/exit")
        assert terminal.ended() == 0
        assert "╭" not in terminal.raw


def test_a_chat_asks_and_does_what_it_is_told(user: User, finance: Terminal) -> None:
    finance.type(ORDER)
    finance.expect("place_order")
    finance.expect(r"\[l\]ater: ")
    finance.type("r")
    finance.expect("Why")
    finance.type("too dear")
    finance.expect("─ place_order ─")
    finance.expect("too dear")
    finance.expect("> ")
    assert user.status(user.newest()) == "COMPLETED"
    finance.type(ORDER)
    finance.expect(r"\[l\]ater: ")
    finance.type("edit")
    finance.expect("Arguments: .*}")
    # Ctrl-A and Ctrl-K: readline has filled the line in.
    finance.press("\x01\x0b")
    finance.type('{"symbol": "AMZN", "side": "buy", "shares": "many"}')
    finance.expect("not decided: ")
    finance.expect(r"\[l\]ater: ")
    finance.type("e")
    finance.expect("Arguments: .*}")
    finance.press("\x01\x0b")
    finance.type('{"symbol": "AMZN", "side": "sell", "shares": 1}')
    finance.expect('"side": "sell"')
    finance.expect("tokens")
    finance.expect("> ")
    assert user.status(user.newest()) == "COMPLETED"


def test_ctrl_c_cancels_an_answer_and_not_the_chat(user: User) -> None:
    with at_terminal([*AGENTRUN, "chat", "echo"], user.environment) as terminal:
        terminal.expect("> ")
        terminal.type(LONG)
        terminal.expect("5 6 7 ")
        terminal.press("\x03")
        terminal.expect("cancelling the run; Ctrl-C again leaves")
        terminal.expect("cancelled: ")
        terminal.expect("> ")
        assert user.status(user.newest()) == "CANCELLED"
        terminal.type("Still here")
        terminal.expect(r"Still here\n[\s\S]*Still here\n")
        terminal.expect("> ")
        terminal.interrupt()
        terminal.expect("Ctrl-D or /exit leave")
        terminal.expect("> ")
        terminal.interrupt()
        assert terminal.ended() == 130


def test_a_chat_takes_up_a_run_that_waits(user: User) -> None:
    run_id = user.paused()
    command = [*AGENTRUN, "chat", "finance_agent", "--resume", run_id]
    with at_terminal(command, user.environment) as terminal:
        terminal.expect(r"\[l\]ater: ")
        terminal.interrupt()
        terminal.expect(f"--resume {run_id}")
        terminal.expect("> ")
        terminal.type("/exit")
        assert terminal.ended() == 0
    with at_terminal(command, user.environment) as terminal:
        terminal.expect(r"\[l\]ater: ")
        terminal.type("approve")
        terminal.expect("─ place_order ─")
        terminal.expect("> ")
        assert user.status(run_id) == "COMPLETED"


def test_control_characters_of_a_run_do_not_reach_the_terminal(user: User) -> None:
    attack = "a\x1b]0;title\x07b\x1b[2Jc\x9bd"
    with at_terminal([*AGENTRUN, "run", "echo", attack], user.environment) as terminal:
        assert terminal.ended() == 0
        assert "a\ufffd]0;title\ufffdb\ufffd[2Jc\ufffdd" in terminal.raw
        assert "\x1b]0;" not in terminal.raw
        assert "\x1b[2J" not in terminal.raw


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("runs", "get", "none"), 5, "404 There is no run 'none'."),
        (("agents", "--token", "x.y.z", "list"), 2, "options come after the action"),
        (("approvals", "--json", "list"), 2, "options come after the action"),
        (("agents", "list", "--token", "x.y.z"), 5, "401"),
        (("agents", "list", "--base-url", "http://127.0.0.1:1"), 6, "does not answer"),
        (("run", "echo", " "), 5, "400"),
        (("run", "none", "Hello"), 5, "404"),
        (("chat", "none"), 5, "404"),
        (("run", "echo", "Hello", "--image", "none.png"), 2, "No such file"),
        (("run", "echo", "Hello", "--temperature", "3"), 2, "--temperature"),
        (("run", "echo", "Hello", "--json", "--events"), 2, "exclude each other"),
        (("run", "echo", "Hello", "--idempotency-key", "é"), 2, "visible ASCII"),
        (("run", "echo", "Hello", "--session", "x"), 5, "agentrun: 400 sessionId must be a UUID."),
        (("status",), 2, "Missing argument"),
    ],
)
def test_a_mistake_is_said_in_one_line_with_its_exit_status(
    user: User,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    status: int,
    said: str,
) -> None:
    assert main(arguments) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err.splitlines()[0]
    assert told.err.startswith("agentrun: ")
    assert user.environment["AGENTRUN_TOKEN"] not in told.err


def test_nobody_at_the_default_address_is_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AGENTRUN_BASE_URL", raising=False)
    monkeypatch.setattr("agentrun_cli.connection.target.LOCAL_BASE_URL", "http://127.0.0.1:1")
    assert main(["agents", "--template", str(tmp_path / "template.yaml")]) == 6
    assert "is `make dev` running?" in capsys.readouterr().err
