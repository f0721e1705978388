"""Reads a queue's dead letters, and moves them back, one by one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_HIDDEN_S = 60
"""How long a letter that was read stays hidden, from us as well; then it is there again."""


class NoDeadLettersError(Exception):
    """The queue has no redrive policy, so that nothing ever becomes a dead letter."""


@dataclass(frozen=True)
class Letter:
    """One dead letter; `names` is what its body says of the run, and nothing else of it."""

    message_id: str
    sent_at: datetime
    names: str
    message: Mapping[str, Any]


class DeadLetters:
    """
    The dead letters of one queue.

    AWS has StartMessageMoveTask for it, which the stand-ins do not have, and which tells a count
    only.

    Args:
        client: A client of SQS.
        queue_url: The queue that they came from.

    Raises:
        NoDeadLettersError: It has no redrive policy.
    """

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        said = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
        policy = said.get("Attributes", {}).get("RedrivePolicy")
        if policy is None:
            raise NoDeadLettersError
        name = json.loads(policy)["deadLetterTargetArn"].rpartition(":")[2]
        self._url: str = client.get_queue_url(QueueName=name)["QueueUrl"]

    def count(self) -> int:
        """Return about how many there are, but for those that somebody has just read."""
        name = "ApproximateNumberOfMessages"
        said = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(said["Attributes"][name])

    def letters(self, at_most: int) -> Iterator[Letter]:
        """Read letters, each once; what is neither moved nor let go of is hidden for a minute."""
        seen: set[str] = set()
        while len(seen) < at_most:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(10, at_most - len(seen)),
                # Without a wait, SQS asks some of its servers only.
                WaitTimeSeconds=1,
                VisibilityTimeout=_HIDDEN_S,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            found = [m for m in answer.get("Messages", ()) if m["MessageId"] not in seen]
            if not found:
                return
            for message in found:
                seen.add(message["MessageId"])
                yield _letter(message)

    def move(self, letter: Letter) -> None:
        """Send a letter back; if it cannot be deleted after that, it is there twice."""
        message = letter.message
        attributes = {
            name: {part: said for part, said in value.items() if not part.endswith("ListValues")}
            for name, value in message.get("MessageAttributes", {}).items()
        }
        self._client.send_message(
            QueueUrl=self._queue_url, MessageBody=message["Body"], MessageAttributes=attributes
        )
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])

    def let_go(self, letter: Letter) -> None:
        """Let others read a letter at once."""
        self._client.change_message_visibility(
            QueueUrl=self._url,
            ReceiptHandle=letter.message["ReceiptHandle"],
            VisibilityTimeout=0,
        )


def _letter(message: Mapping[str, Any]) -> Letter:
    sent_ms = int(message["Attributes"]["SentTimestamp"])
    return Letter(
        message["MessageId"],
        datetime.fromtimestamp(sent_ms / 1000, UTC),
        _names(message["Body"]),
        message,
    )


def _names(body: str) -> str:
    """Name tenant and run, if it is a message that does; a body may hold what people have said."""
    try:
        said = json.loads(body)
        return " ".join(str(said[key]) for key in ("tenant", "runId") if key in said)
    except (ValueError, TypeError):
        return ""
