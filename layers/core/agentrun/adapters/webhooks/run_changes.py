"""Changes of runs, read from the records of the table's stream."""

import json
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from agentrun.adapters.dynamo.headers import run_from_header
from agentrun.adapters.dynamo.items import Attribute, Item
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.dynamo.texts import read_previews
from agentrun.domain.runs import AgentRun
from agentrun.domain.webhooks import WebhookDelivery, delivery_of
from agentrun.service.webhooks.announcing import UnreadableError


class StreamedChange:
    """
    A record of Lambda's event ("Using Lambda with DynamoDB" in the developer guide).

    The state is the record's own, so what has happened to the run since does not matter. Only texts
    that lie beside the header are read from the table: each execution writes them under a name of
    its own. Where they were erased meanwhile, the run is told of without them.

    Args:
        record: The record, with the item's new image and its old one.
        table: Where the texts are.
        run_body: Writes a run as the API's answers do.
    """

    def __init__(
        self,
        record: Mapping[str, Any],
        table: Table,
        run_body: Callable[[AgentRun], Mapping[str, Any]],
    ) -> None:
        self._record = record
        self._table = table
        self._run_body = run_body

    @property
    def position(self) -> str:
        """Its number in the shard, by which Lambda is told what has to come again."""
        number: str = self._record["dynamodb"]["SequenceNumber"]
        return number

    @property
    def text(self) -> str:
        """The record."""
        return json.dumps(self._record)

    def delivery(self) -> WebhookDelivery | None:
        """Read the change; see the port."""
        try:
            new, old = (self._image(name) for name in ("NewImage", "OldImage"))
            # A header may be written without a change of its status.
            if new.get(Attribute.VERSION) == old.get(Attribute.VERSION):
                return None
            webhook = run_from_header(new).webhook
            return None if webhook is None else delivery_of(self._run(new), webhook, self._run_body)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise UnreadableError("the record is no run's header") from error

    def _image(self, name: str) -> Item:
        image: Mapping[str, Any] = self._record["dynamodb"].get(name, {})
        return {
            attribute: {"B": b64decode(value["B"])} if "B" in value else value
            for attribute, value in image.items()
        }

    def _run(self, header: Item) -> AgentRun:
        found = read_previews(self._table, [header], consistent=True)
        return found[0] if found else run_from_header(header).with_previews()
