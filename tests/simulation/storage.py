"""Stores of the simulated services: in memory, or on a table of moto's server."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from botocore.exceptions import ClientError, ReadTimeoutError

from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table as DynamoTable
from agentrun.domain.errors import RunNotFoundError
from agentrun.domain.ports import (
    ConversationStore,
    EventLog,
    LargeObjects,
    RunJournal,
    RunQuota,
    RunStore,
)
from agentrun.domain.quotas import RunLimits
from agentrun.domain.runs import AgentRun, RunKey
from tests.fakes.in_memory_conversations import InMemoryConversations
from tests.fakes.in_memory_journal import InMemoryRunJournal
from tests.fakes.in_memory_objects import InMemoryLargeObjects
from tests.fakes.in_memory_quota import InMemoryRunQuota
from tests.fakes.in_memory_store import InMemoryEventLog, InMemoryRunStore
from tests.simulation.blocking_calls import Worker
from tests.simulation.process import Process
from tests.simulation.table_in_memory import TableInMemory
from tests.simulation.world import World
from tests.tables import TABLE, create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

UNITS_A_SECOND = 350
"""Write units a second of a partition; DynamoDB's 1000 would need larger texts."""


@dataclass(frozen=True)
class Stores:
    """The stores as one process reaches them."""

    runs: RunStore
    log: EventLog
    conversations: ConversationStore
    quota: RunQuota
    journal: RunJournal


class Storage(Protocol):
    """One example's stores."""

    objects: LargeObjects
    is_open: bool
    """Whether the world is below the ports, between the adapters and the table."""
    truth: Stores

    def of(self, process: Process) -> Stores:
        """Return the stores of a process."""
        ...

    def expire(self) -> None:
        """Delete some of what has outlived its time."""
        ...

    def left_without_end(self) -> list[str]:
        """Return what belongs to a missing run and does not expire."""
        ...


class Memory:
    """Stores in dictionaries; the world is above them."""

    is_open = False

    def __init__(self, world: World, expiry: timedelta, quota: RunQuota | None = None) -> None:
        self._world = world
        self.objects: LargeObjects = InMemoryLargeObjects()
        self._log = InMemoryEventLog(longest_pause=expiry)
        self._runs = InMemoryRunStore(self._log)
        conversations = InMemoryConversations(self._runs)
        self.truth = Stores(
            self._runs,
            self._log,
            conversations,
            quota or some_limits(world),
            InMemoryRunJournal(self._runs),
        )

    def of(self, process: Process) -> Stores:
        return self.truth

    def expire(self) -> None:
        for (key, last), until in list(self._log.expiries.items()):
            if until < self._world.instant() and self._world.random.random() < 0.5:
                del self._log.expiries[key, last]
                self._log.segments.get(key, {}).pop(last, None)

    def left_without_end(self) -> list[str]:
        kept = {**self._runs.messages, **self._runs.checkpoints}
        return [key.run_id for key in kept if key not in self._runs.runs]


class Table:
    """Stores on a table; the world is between their adapters and the table."""

    is_open = True

    def __init__(
        self,
        client: "DynamoDBClient | None",
        world: World,
        expiry: timedelta,
        quota: RunQuota | None = None,
    ) -> None:
        """Use the client of a server, and create its table; without one, a table in memory."""
        self._client = client or cast("DynamoDBClient", TableInMemory())
        self._world = world
        self._expiry = expiry
        self.objects: LargeObjects = InMemoryLargeObjects()
        if client is not None:
            if client.list_tables()["TableNames"]:
                client.delete_table(TableName=TABLE)
            create_table(client)
        self._quota = quota or some_limits(world)
        self._written: dict[str, tuple[float, int]] = {}
        self.truth = self._stores(self._client)

    def _stores(self, client: "DynamoDBClient") -> Stores:
        return Stores(
            DynamoRunStore(DynamoTable(client, TABLE), self.objects, longest_pause=self._expiry),
            DynamoEventLog(DynamoTable(client, TABLE), longest_pause=self._expiry),
            DynamoConversationStore(DynamoTable(client, TABLE)),
            self._quota,
            DynamoRunJournal(DynamoTable(client, TABLE), self.objects, longest_pause=self._expiry),
        )

    def of(self, process: Process) -> Stores:
        gateway: Any = ClientGateway(
            self._world, process, self._client, self.take_units, self._header
        )
        return self._stores(cast("DynamoDBClient", gateway))

    def _header(self, run_id: str) -> AgentRun | None:
        try:
            return self.truth.runs.get_state(RunKey(tenant="acme", run_id=run_id))
        except RunNotFoundError:
            return None

    def take_units(self, item: dict[str, Any]) -> bool:
        """Take an item's write units from its partition's for this second, if enough are left."""
        units = sum(len(str(value)) for value in item.values()) // 1024 + 1
        second = float(int(self._world.now))
        at, taken = self._written.get(item["pk"]["S"], (second, 0))
        taken = taken if at == second else 0
        if taken and taken + units > UNITS_A_SECOND:
            return False
        self._written[item["pk"]["S"]] = (second, taken + units)
        return True

    def _items(self) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator("scan").paginate(TableName=TABLE):
            yield from cast("list[dict[str, Any]]", page["Items"])

    def expire(self) -> None:
        now = self._world.instant().timestamp()
        for item in list(self._items()):
            if "ttl" in item and int(item["ttl"]["N"]) < now and self._world.random.random() < 0.5:
                key = {name: item[name] for name in ("pk", "sk")}
                self._client.delete_item(TableName=TABLE, Key=key)

    def left_without_end(self) -> list[str]:
        items = [item for item in self._items() if "#RUN#" in item["pk"]["S"]]
        there = {item["pk"]["S"] for item in items if item["sk"]["S"] == "RUN"}
        return [
            f"{item['pk']['S']} {item['sk']['S']}"
            for item in items
            if item["pk"]["S"] not in there and "ttl" not in item
        ]


class ClientGateway:
    """A client of DynamoDB with the world in between, and botocore's retries on top."""

    def __init__(
        self,
        world: World,
        process: Process,
        client: "DynamoDBClient",
        take_units: Callable[[dict[str, Any]], bool],
        header: Callable[[str], AgentRun | None],
    ) -> None:
        self._world = world
        self._process = process
        self._client = client
        self._take_units = take_units
        self._header = header

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def _call(self, name: str, **kwargs: Any) -> Any:
        call = partial(self._once, name, partial(getattr(self._client, name), **kwargs), kwargs)
        try:
            return call()
        except ReadTimeoutError:
            if self._world.random.random() < 0.5:
                raise
            return call()

    def _once(self, name: str, send: Callable[[], Any], kwargs: dict[str, Any]) -> Any:
        worker = Worker.current()

        def apply() -> Any:
            if name == "put_item" and not self._take_units(kwargs["Item"]):
                code = "ProvisionedThroughputExceededException"
                raise ClientError({"Error": {"Code": code}}, name)
            answer = send()
            if worker.label == "start" and worker.subject is not None:
                worker.header = self._header(worker.subject)
            return answer

        return self._world.call(
            self._process,
            worker.label or name,
            apply,
            failure=_timed_out,
            is_write=name not in {"get_item", "batch_get_item", "query"},
            is_conditional=not _is_repeatable(name, kwargs),
            subject=worker.subject,
        )

    def get_paginator(self, name: str) -> "ClientGateway._Pages":
        return ClientGateway._Pages(self, name)

    class _Pages:
        def __init__(self, gateway: "ClientGateway", name: str) -> None:
            self._gateway = gateway
            self._name = name

        def paginate(self, **kwargs: Any) -> Iterator[Any]:
            pages = iter(self._gateway._client.get_paginator(self._name).paginate(**kwargs))  # type: ignore[call-overload]
            while True:
                page = self._gateway._once(self._name, lambda: next(pages, None), {})
                if page is None:
                    return
                yield page


def _is_repeatable(name: str, kwargs: dict[str, Any]) -> bool:
    """Tell whether a write can be repeated after its own success."""
    condition = kwargs.get("ConditionExpression", "")
    return name != "transact_write_items" and condition in {
        "",
        "attribute_not_exists(superseding)",
    }


def _timed_out() -> Exception:
    return ReadTimeoutError(endpoint_url="http://the.table")


def some_limits(world: World) -> RunQuota:
    """Return a quota that is irrelevant in most examples, and narrow in some."""
    limits = [0, 0, 0, world.random.choice([1, 2, 4])]
    return InMemoryRunQuota(RunLimits(runs_per_user=world.random.choice(limits), runs_per_tenant=0))
