"""`agentrun invoke`: sends one event through a function's real entry point."""

import asyncio
import json
import sys
from pathlib import Path

from agentrun_local.console import Console
from agentrun_local.doors.http_messages import read_prelude
from agentrun_local.doors.prelude import CONTENT_TYPE, MalformedAnswerError
from agentrun_local.errors import LocalStackError
from agentrun_local.functions.invocation import FunctionError, Invocation
from agentrun_local.stack import RunningStack, StackOptions, running_stack

_TOKEN = "${TOKEN}"  # noqa: S105 - the placeholder, not a token


async def run_invoke(options: StackOptions, function: str, event_file: Path) -> int:
    """
    Invoke a function once; print the answer to standard output, logs to standard error.

    Args:
        options: The stack; only this function of it is started.
        function: Its name, `StatusFunction` or `status`.
        event_file: JSON; `${TOKEN}` in it becomes a fresh token of the dev user.

    Returns:
        The exit status: 1 when the function failed.

    Raises:
        LocalStackError: There is no such function, or the file is not JSON.
    """
    event = _read_event(event_file)
    async with running_stack(options, Console()) as stack:
        name = _full_name(stack, function)
        filled = event.replace(_TOKEN, stack.identity.token())
        invocation = stack.pools[name].invoke(filled.encode())
        try:
            await _print_answer(invocation)
        except FunctionError as error:
            print(error.payload.decode("utf-8", "replace"), flush=True)
            print(f"{name} failed. {error}", file=sys.stderr)
            return 1
    return 0


def _read_event(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except OSError as error:
        raise LocalStackError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise LocalStackError(f"{path} is not JSON: {error}") from error
    return text


def _full_name(stack: RunningStack, name: str) -> str:
    for candidate in stack.pools:
        if name.lower() in {candidate.lower(), candidate.removesuffix("Function").lower()}:
            return candidate
    known = ", ".join(sorted(stack.pools))
    raise LocalStackError(f"The template has no function '{name}'; it has {known}.")


async def _print_answer(invocation: Invocation) -> None:
    head = await invocation.head()
    if not head.streaming:
        payload = await invocation.payload()
        print(_pretty(payload), flush=True)
        return
    if head.content_type.startswith(CONTENT_TYPE):
        try:
            prelude, first = await read_prelude(invocation)
        except MalformedAnswerError as error:
            raise FunctionError("InvalidResponse", str(error)) from error
        lines = [str(prelude.status), *(f"{name}: {value}" for name, value in prelude.headers)]
        print("\n".join(lines), file=sys.stderr)
        await _write(first)
    async for chunk in invocation.body():
        await _write(chunk)


async def _write(chunk: bytes) -> None:
    # In a thread: a pipe that nobody reads must not block the Runtime API.
    await asyncio.to_thread(_write_now, chunk)


def _write_now(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _pretty(payload: bytes) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        return payload.decode("utf-8", "replace")
