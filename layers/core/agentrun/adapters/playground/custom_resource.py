"""CloudFormation's requests for a custom resource, and its answers."""

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.httpsession import get_cert_path

MARGIN_S = 15.0
"""What an answer may take, with its retries, at the end of an invocation."""
_LONGEST_REASON = 1000
"""An answer may have 4096 bytes ("Custom resource response objects")."""

log = logging.getLogger("agentrun.playground")


@dataclass(frozen=True)
class ResourceRequest:
    """
    What CloudFormation asks for ("Custom resource request objects").

    The bucket's name is the resource's id. So CloudFormation takes another bucket for another
    resource, and has the old one deleted after the update.
    """

    event: Mapping[str, Any]

    @property
    def is_delete(self) -> bool:
        """Whether the resource goes, rather than comes or changes."""
        return str(self.event["RequestType"]) == "Delete"

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return str(self.event["ResourceProperties"]["Bucket"])

    @property
    def config(self) -> Mapping[str, str]:
        """The page's settings."""
        found: Mapping[str, str] = self.event["ResourceProperties"]["Config"]
        return found

    def answer(self, failure: str | None) -> None:
        """
        Tell CloudFormation that it is done, or what failed.

        Raises:
            urllib3.exceptions.HTTPError: The answer did not arrive; asking again is safe.
        """
        body = {
            "Status": "SUCCESS" if failure is None else "FAILED",
            "Reason": (failure or "Done")[:_LONGEST_REASON],
            "PhysicalResourceId": self.event.get("PhysicalResourceId") or self._new_id(),
            **{name: self.event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        }
        retry = urllib3.Retry(3, allowed_methods=None, status_forcelist=(500, 502, 503, 504))
        # The URL is signed without a content type.
        with urllib3.PoolManager(ca_certs=get_cert_path(True)) as pool:
            pool.request(
                "PUT",
                self.event["ResponseURL"],
                headers={"Content-Type": ""},
                body=json.dumps(body).encode(),
                retries=retry,
                timeout=urllib3.Timeout(connect=1, read=2),
            )

    def _new_id(self) -> str:
        properties = self.event.get("ResourceProperties") or {}
        return str(properties.get("Bucket") or self.event["LogicalResourceId"])


def answer_in_time(
    event: Mapping[str, Any], left_s: float, work: Callable[[ResourceRequest], None]
) -> None:
    """
    Do what CloudFormation asks for, and tell it how that ended before time is up.

    Without an answer CloudFormation would wait for the resource's `ServiceTimeout`.

    Args:
        event: The request.
        left_s: How long the invocation may still take.
        work: Does it; whatever it raises is a failure with that text.

    Raises:
        urllib3.exceptions.HTTPError: The answer did not arrive. Lambda then repeats an invocation
            that nobody waits for, up to twice.
    """
    request = ResourceRequest(event)
    worker = ThreadPoolExecutor(1, thread_name_prefix="playground")
    try:
        attempt = worker.submit(work, request)
        error = attempt.exception(timeout=max(left_s - MARGIN_S, 0))
    except TimeoutError:
        error = TimeoutError("it takes too long")
    finally:
        worker.shutdown(wait=False, cancel_futures=True)
    if error is not None:
        log.error(
            "the playground's files are not in their bucket as they should be", exc_info=error
        )
    request.answer(None if error is None else f"{error!s:.{_LONGEST_REASON}} (see the log)")
