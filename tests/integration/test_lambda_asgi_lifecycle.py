"""How the process starts, logs, crosses a snapshot and ends."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lambda_http_events import function_url_event
from tests.lambda_runtime.calls import ScriptedRuntimeApi
from tests.lambda_runtime.process import running

pytestmark = pytest.mark.anyio

UNWILLING_APP = """
async def handler(scope, receive, send):
    await receive()
    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})
"""

ERROR_TYPE = "lambda-runtime-function-error-type"


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        ("import no_such_module", "broken.handler", "Runtime.ImportModuleError", "no_such_module"),
        ("def broken(:", "broken.handler", "Runtime.UserCodeSyntaxError", "Syntax error"),
        ("x = 1", "broken.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("x = 1", "broken", "Runtime.MalformedHandlerName", "Bad handler 'broken'"),
        ("raise ValueError('at import')", "broken.handler", "ValueError", "at import"),
        (UNWILLING_APP, "broken.handler", "LifespanStartupError", "no database"),
    ],
)
async def test_a_failing_start_is_an_init_error(
    api: ScriptedRuntimeApi,
    tmp_path: Path,
    source: str,
    handler: str,
    error_type: str,
    message: str,
) -> None:
    (tmp_path / "broken.py").write_text(source)
    async with running(api.address, handler, tmp_path) as runtime:
        call = await api.complete_call("/runtime/init/error")
        assert await runtime.exit() == 1
    report = json.loads(call.payload)
    assert call.headers[ERROR_TYPE] == report["errorType"] == error_type
    assert message in report["errorMessage"]
    assert message.encode() in runtime.output
    assert api.find("/next") is None


async def test_the_handler_may_lie_in_folders_and_be_a_bare_app(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    folder = tmp_path / "src" / "api"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(
        "async def asgi(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 201, 'headers': []})\n"
    )
    async with running(api.address, "src/api/main.asgi", tmp_path):
        api.invoke(function_url_event("/"))
        call = await api.complete_call("/response")
    assert call.prelude["statusCode"] == 201


async def test_sigterm_lets_a_stream_end_and_shuts_the_app_down(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    pipe = tmp_path / "gate"
    os.mkfifo(pipe)
    async with running(
        api.address,
        "app.handler",
        GATE_PIPE=str(pipe),
        AWS_LAMBDA_MAX_CONCURRENCY="2",
        LAMBDA_ASGI_SHUTDOWN_GRACE_S="90",
    ) as runtime:
        api.invoke(function_url_event("/held"))
        call = await api.call("/response")
        await api.until(lambda: call.payload.endswith(b"begin,"))
        runtime.process.terminate()
        # The other poller lets go of its /next: the signal has been taken.
        await api.until(lambda: api.polls_given_up == 1)
        await asyncio.to_thread(pipe.write_text, "go")
        await api.until(lambda: call.complete)
        assert await runtime.exit() == 0
    assert (call.body, call.trailers) == (b"begin,end", {})
    assert b"shut down" in runtime.output


async def test_sigterm_ends_a_stream_that_takes_too_long(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        api.invoke(function_url_event("/sleeping"))
        call = await api.call("/response")
        await api.until(lambda: call.payload.endswith(b"sleeping"))
        runtime.process.terminate()
        await api.until(lambda: call.complete)
        assert await runtime.exit() == 0
    assert call.trailers[ERROR_TYPE] == "CancelledError"
    assert call.trailer_report["errorMessage"] == "The process is shutting down."
    assert b"shut down" in runtime.output


async def test_sigterm_does_not_wait_for_an_app_that_will_not_shut_down(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "lingering.py").write_text(
        "import asyncio\n"
        "async def handler(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    await asyncio.sleep(3600)\n"
    )
    async with running(api.address, "lingering.handler", tmp_path) as runtime:
        await api.call("/next")
        runtime.process.terminate()
        assert await runtime.exit() == 0
    # Half of the 0.3 s that Lambda gives at the least.
    assert b"The app's shutdown took longer than 0.15 s." in runtime.output


async def test_the_process_ends_when_the_runtime_api_is_gone(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        await api.call("/next")
        await api.stop()
        assert await runtime.exit() == 1
    assert b"RuntimeApiError" in runtime.output


async def test_snapstart_hooks_run_around_the_snapshot(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "snap.py").write_text(
        "import asyncio\n"
        "from snapshot_restore_py import register_after_restore, register_before_snapshot\n"
        "from app import app as handler\n"
        "async def nothing(): pass\n"
        "register_before_snapshot(print, 'before 1')\n"
        "register_before_snapshot(print, 'before 2')\n"
        "register_after_restore(lambda: asyncio.run(nothing()))\n"
        "register_after_restore(print, 'after')\n"
    )
    async with _snapstart(api, tmp_path) as runtime:
        api.invoke(function_url_event("/empty"))
        await api.complete_call("/response")
        runtime.process.terminate()
        assert await runtime.exit() == 0
    assert runtime.output.split(b"\n")[:3] == [b"before 2", b"before 1", b"after"]
    assert [call.path.split("/runtime")[1] for call in api.calls[:2]] == [
        "/restore/next",
        "/invocation/next",
    ]


@pytest.mark.parametrize(
    ("hook", "path", "error_type", "status"),
    [
        ("register_before_snapshot", "/runtime/init/error", "Runtime.BeforeSnapshotError", 64),
        ("register_after_restore", "/runtime/restore/error", "Runtime.AfterRestoreError", 65),
    ],
)
async def test_a_failing_snapstart_hook_is_reported(
    api: ScriptedRuntimeApi, tmp_path: Path, hook: str, path: str, error_type: str, status: int
) -> None:
    (tmp_path / "snap.py").write_text(
        f"from snapshot_restore_py import {hook}\n"
        "async def handler(scope, receive, send): raise RuntimeError\n"
        f"@{hook}\n"
        "def hook(): raise ValueError('hook')\n"
    )
    async with _snapstart(api, tmp_path) as runtime:
        call = await api.complete_call(path)
        assert await runtime.exit() == status
    assert call.headers[ERROR_TYPE] == error_type
    assert json.loads(call.payload)["errorMessage"] == "hook"


def _snapstart(api: ScriptedRuntimeApi, task_root: Path) -> Any:
    return running(
        api.address,
        "snap.handler",
        task_root,
        AWS_LAMBDA_INITIALIZATION_TYPE="snap-start",
        PYTHONPATH=str(Path(__file__).parent / "lambda_asgi_apps"),
    )


async def test_json_logs_are_one_object_per_line(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler", AWS_LAMBDA_LOG_FORMAT="JSON") as runtime:
        request_id = api.invoke(function_url_event("/log"))
        # Both while the process runs: on Lambda, output that is still in a buffer is lost.
        record, printed = await runtime.line(), await runtime.line()
    logged = json.loads(record)
    assert logged.pop("timestamp").endswith("Z")
    assert logged == {
        "level": "WARNING",
        "message": "hello\nworld",
        "logger": "app",
        "requestId": request_id,
        "runId": "r1",
    }
    assert printed == b"printed\n"


async def test_text_logs_carry_the_request_id(api: ScriptedRuntimeApi) -> None:
    async with running(api.address, "app.handler") as runtime:
        request_id = api.invoke(function_url_event("/log"))
        await api.complete_call(f"/{request_id}/response")
        runtime.process.terminate()
        await runtime.exit()
    level, _, logged_id, message = runtime.output.splitlines()[0].split(b"\t")
    assert (level, logged_id, message) == (b"[WARNING]", request_id.encode(), b"hello")
