"""Where runs with budgets are kept: in memory, or in DynamoDB as moto plays it in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.quotas import RunLimits
from agentrun.service.starting.slots import RunSlots
from tests.contract.stores import Stores
from tests.rig import NO_LIMITS, Rig
from tests.tables import TABLE, mocked_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRig(Rig):
    """
    A `Rig` whose runs and quotas are in the table.

    One thread does all of its work: moto's writes race across threads.
    """

    def __init__(self, client: "DynamoDBClient", limits: RunLimits = NO_LIMITS) -> None:
        super().__init__(limits)
        stores = Stores.on_dynamo(client)
        self.runs = replace(self.runs, store=stores.runs, log=stores.log, journal=stores.journal)
        quota = DynamoRunQuota(Table(client, TABLE), limits)
        self.ports = replace(
            self.ports,
            runs=self.runs,
            conversations=stores.conversations,
            objects=stores.objects,
            slots=RunSlots(quota, self.runs),
        )


@contextmanager
def empty_rig(store: str, limits: RunLimits = NO_LIMITS) -> Iterator[Rig]:
    """Yield a rig without any runs, in `memory` or on `dynamo`."""
    if store == "memory":
        yield Rig(limits)
        return
    with mocked_table() as client:
        yield DynamoRig(client, limits)
