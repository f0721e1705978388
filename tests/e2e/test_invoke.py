"""`agentrun invoke` sends one event through a function's own runtime."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrun_local.cli import main
from tests.bedrock import Text
from tests.e2e.conftest import ROOT, LocalStack, stand_in_copy
from tests.openai_compatible import ChatReply, openai_compatible_server

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_copy(tmp_path_factory.mktemp("invoke") / "application")


@pytest.fixture
def invoke(template: Path, capfd: pytest.CaptureFixture[str]) -> Invoke:
    """Return a call of the command, for exit status, standard output and standard error."""

    def run(function: str, event: object, *more: str) -> tuple[int, str, str]:
        path = template.parent / "event.json"
        path.write_text(json.dumps(event))
        # The stand-in has no table, so that nobody ever calls this.
        options = ["--template", str(template), "--table-url", "http://127.0.0.1:9"]
        status = main(["invoke", function, str(path), *options, *more])
        return status, *capfd.readouterr()

    return run


def test_the_answer_of_a_buffered_function_is_json_on_standard_output(invoke: Invoke) -> None:
    status, output, _ = invoke("buffered", {"body": '{"do": "tell"}'})
    assert status == 0
    assert json.loads(json.loads(output)["body"])["greeting"] == "hello"


def test_a_function_gets_the_variables_of_a_file_and_nobody_prints_them(
    invoke: Invoke, tmp_path: Path
) -> None:
    file = tmp_path / "variables.env"
    file.write_text("GREETING='from a file'\nTOKEN=hunter2-hunter2\n")
    status, output, errors = invoke("buffered", {"body": '{"do": "tell"}'}, "--env-file", str(file))
    assert status == 0
    assert json.loads(json.loads(output)["body"])["greeting"] == "from a file"
    assert "hunter2" not in output + errors


def test_a_providers_key_in_a_file_reaches_the_provider_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "variables.env"
    with openai_compatible_server() as server:
        server.always(ChatReply(Text("It is ", "3.")))
        address = server.environment["OPENAI_BASE_URL"]
        file.write_text(f"OPENAI_BASE_URL={address}\nOPENAI_API_KEY=sk-hunter2\n")
        event = str(ROOT / "events" / "stream-run.json")
        options = ["--model", "openai:qwen3", "--env-file", str(file)]
        assert main(["invoke", "stream", event, *options]) == 0
        (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-hunter2"
    shown = capfd.readouterr()
    assert '"event":"STOP"' in shown.out
    assert "hunter2" not in shown.out + shown.err


def test_a_token_is_put_into_the_event(invoke: Invoke, template: Path) -> None:
    assert invoke("AuthorizerFunction", {"authorizationToken": "allow ${TOKEN}"})[0] == 0
    asked = (template.parent / "authorizer" / "questions.txt").read_text()
    assert asked.startswith("allow eyJ")


def test_a_streamed_answer_is_its_body_with_the_prelude_beside_it(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    order = {"gate": str(tmp_path / "gate"), "then": "end"}
    status, output, errors = invoke("streaming", {"body": json.dumps(order)})
    assert (status, output) == (0, "firstlast")
    assert "201\nx-pid: " in errors


@pytest.mark.parametrize("function", ["buffered", "streaming"])
def test_a_function_error_is_shown_and_exit_status_1(
    invoke: Invoke, tmp_path: Path, function: str
) -> None:
    (tmp_path / "gate").touch()
    order = {"do": "raise", "gate": str(tmp_path / "gate"), "then": "fail"}
    status, output, errors = invoke(function, {"body": json.dumps(order)})
    assert status == 1
    assert json.loads(output.removeprefix("firstlast"))["errorMessage"] == "as told"
    assert f"{function.title()}Function failed. " in errors


def test_an_unknown_function_is_one_line(invoke: Invoke) -> None:
    status, output, errors = invoke("nobody", {})
    assert (status, output) == (1, "")
    assert errors == (
        "agentrun: The template has no function 'nobody'; it has AuthorizerFunction, "
        "BufferedFunction, SlowFunction, StreamingFunction.\n"
    )


def test_an_event_can_use_the_table_of_a_running_stack(
    local_stack: LocalStack, capfd: pytest.CaptureFixture[str]
) -> None:
    event = str(ROOT / "events" / "get-run.json")
    assert main(["invoke", "status", event, "--table-url", local_stack.dynamodb]) == 0
    # Without the table it would be a 503.
    assert json.loads(capfd.readouterr().out)["statusCode"] == 404
