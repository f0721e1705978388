"""All event source mappings of the stack, polled for as long as it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from agentrun_local.errors import TemplateError
from agentrun_local.functions.pool import MAX_ENVIRONMENTS, FunctionPool
from agentrun_local.machine.queues_and_buckets import local_client
from agentrun_local.sources.queue_poller import WAIT_S, QueuePoller
from agentrun_local.sources.stream_poller import StreamPoller
from agentrun_local.template.event_sources import EventSource
from agentrun_local.template.resources import Stack


class Pollers:
    """
    Makes a poller of each mapping.

    Args:
        definition: What the template says.
        pools: The functions by name.
        dynamodb_url: Where the tables are.
        queues_url: Where the queues are.
        region: In which region both were made.
        log_of: Returns where a function's lines go.
    """

    def __init__(
        self,
        definition: Stack,
        pools: Mapping[str, FunctionPool],
        *,
        dynamodb_url: str,
        queues_url: str,
        region: str,
        log_of: Callable[[str], Callable[[str], None]],
    ) -> None:
        self._definition = definition
        self._pools = pools
        self._dynamodb_url = dynamodb_url
        self._queues_url = queues_url
        self._region = region
        self._log_of = log_of
        # Each poller has one request that waits, and a few that do not.
        self._threads = ThreadPoolExecutor(
            max(1, 3 * len(definition.event_sources)), thread_name_prefix="poller"
        )

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Poll until the context ends."""
        polls = [asyncio.ensure_future(self._of(s).run()) for s in self._definition.event_sources]
        try:
            yield
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
            self._threads.shutdown(wait=False)

    def _of(self, source: EventSource) -> QueuePoller | StreamPoller:
        if source.function not in self._pools:
            raise TemplateError(f"There is no function {source.function} for {source.arn}.")
        pool, log = self._pools[source.function], self._log_of(source.function)
        if source.service == "sqs":
            return QueuePoller(
                source,
                pool,
                client=local_client(
                    "sqs", self._queues_url, region=self._region, read_timeout_s=WAIT_S + 10
                ),
                url=self._queue_url(source),
                threads=self._threads,
                log=log,
                most_at_once=MAX_ENVIRONMENTS * pool.function.concurrency,
            )
        return StreamPoller(
            source,
            pool,
            dynamodb=local_client("dynamodb", self._dynamodb_url, region=self._region),
            streams=local_client("dynamodbstreams", self._dynamodb_url, region=self._region),
            table=source.resource,
            threads=self._threads,
            log=log,
        )

    def _queue_url(self, source: EventSource) -> str:
        urls = [one.url for one in self._definition.queues.values() if one.name == source.resource]
        if not urls:
            raise TemplateError(f"The queue {source.arn} is not in the template.")
        return urls[0]
