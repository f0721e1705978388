"""`agentrun dev`: the stack in the foreground."""

import asyncio
import contextlib
import signal
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentrun_local.addresses import Addresses, announced, write_whole
from agentrun_local.banner import banner
from agentrun_local.console import Console
from agentrun_local.doors.function_url import FunctionUrlDoor
from agentrun_local.doors.rest_api import RestApiDoor
from agentrun_local.doors.web_server import listen_at, serving, url_of
from agentrun_local.playground.serving import with_playground
from agentrun_local.reload import reload_on_change
from agentrun_local.sources.polling import Pollers
from agentrun_local.stack import RunningStack, StackOptions, running_stack, start_functions


@dataclass(frozen=True)
class DevOptions:
    """
    The command's options besides those of the stack.

    Port 0 is any free port; without ports, the first pair that is free is taken.
    """

    port: int | None
    url_port: int | None
    ready_file: Path | None
    opens_browser: bool = False


async def run_dev(stack_options: StackOptions, options: DevOptions) -> None:
    """
    Run until SIGINT or SIGTERM, then end every process that it started.

    Raises:
        LocalStackError: A port is taken, or the stack cannot start.
    """
    _end_on_signal()
    console = Console()
    async with contextlib.AsyncExitStack() as cleanup:
        rest_listener, url_listener = listen_at(options.port, options.url_port)
        cleanup.enter_context(rest_listener)
        cleanup.enter_context(url_listener)
        function_url = url_of(url_listener)
        stack = await cleanup.enter_async_context(
            running_stack(stack_options, console, function_url=function_url)
        )
        await start_functions(stack)
        listeners = (rest_listener, url_listener)
        await cleanup.enter_async_context(_doors(stack, stack_options, listeners, console))
        # Before the doors close, so that open streams break off instead of being waited for.
        cleanup.push_async_callback(stack.stop)
        await cleanup.enter_async_context(_pollers(stack, console).polling())
        facts = _facts(stack, rest_listener, url_listener)
        addresses = Addresses(facts["rest_api"], facts["function_url"])
        cleanup.enter_context(announced(addresses, stack_options.template))
        if options.ready_file is not None:
            pids = stack.supervisor.pids
            cleanup.enter_context(_ready(options.ready_file, {**facts, "pids": pids}))
        print(banner(facts, stack_options.template), flush=True)
        if options.opens_browser:
            # Some browsers' commands last as long as the browser.
            url = (f"{facts['rest_api']}/",)
            threading.Thread(target=webbrowser.open, args=url, daemon=True).start()
        await reload_on_change(stack.pools, stack_options.template, console.source("reload"))


def _end_on_signal() -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def end() -> None:
        # A second signal ends this process at once, and the reaper ends the others.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


@contextlib.asynccontextmanager
async def _doors(
    stack: RunningStack,
    options: StackOptions,
    listeners: tuple[socket.socket, socket.socket],
    console: Console,
) -> AsyncIterator[None]:
    rest_listener, url_listener = listeners
    async with contextlib.AsyncExitStack() as cleanup:
        if stack.definition.rest_api is not None:
            rest_door = RestApiDoor(
                stack.definition.rest_api, stack.pools, log=console.source("rest api")
            )
            door = with_playground(
                rest_door,
                stack,
                options,
                base_path=stack.definition.rest_api.base_path,
                function_url=url_of(url_listener),
            )
            await cleanup.enter_async_context(serving(door, rest_listener))
        url = stack.definition.function_url
        if url is not None:
            url_door = FunctionUrlDoor(url, stack.pools[url.function], log=console.source("url"))
            await cleanup.enter_async_context(serving(url_door, url_listener))
        yield


def _pollers(stack: RunningStack, console: Console) -> Pollers:
    return Pollers(
        stack.definition,
        stack.pools,
        dynamodb_url=stack.dynamodb_url,
        queues_url=stack.queues_url,
        region=stack.region,
        log_of=console.source,
    )


def _facts(
    stack: RunningStack, rest_listener: socket.socket, url_listener: socket.socket
) -> dict[str, str]:
    return {
        "rest_api": url_of(rest_listener),
        "function_url": url_of(url_listener),
        "dynamodb": stack.dynamodb_url,
        "queues": stack.queues_url,
        "token": stack.identity.token(),
    }


@contextlib.contextmanager
def _ready(path: Path, facts: Mapping[str, object]) -> Iterator[None]:
    write_whole(path, facts)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
