"""A command's connection to a deployment, and what its errors say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from agentrun_cli.connection.target import Given, Target, find_target
from agentrun_cli.errors import CommandError, NotReachableError, RefusedError

if TYPE_CHECKING:
    from agentrun_client import ApiError, Client


class Connection:
    """Finds the deployment, and connects to it, when it is first needed."""

    def __init__(self, given: Given, environment: Mapping[str, str]) -> None:
        self._given = given
        self._environment = environment

    @property
    def is_told(self) -> bool:
        """Whether an option says where or as whom."""
        return self._given != Given(template=self._given.template)

    @cached_property
    def target(self) -> Target:
        """
        Where requests go, and as whom.

        Raises:
            UsageError: As `find_target`.
        """
        return find_target(self._given, self._environment)

    @cached_property
    def client(self) -> "Client":
        """The client, whose every request has a fresh token."""
        # Imported here, as wherever the client is used: what sends no request need not wait for it.
        from agentrun_client import Client  # noqa: PLC0415

        return Client(self.target.base_url, self.target.token, stream_url=self.target.stream_url)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        if "client" in vars(self):
            self.client.close()

    @contextmanager
    def complaining(self) -> Iterator[None]:
        """
        Turn errors of the client into those of the command line.

        Raises:
            RefusedError: The API refused a request.
            NotReachableError: There was no answer, or no stream that lasted.
            CommandError: Anything else that a client's call can raise.
        """
        from agentrun_client import (  # noqa: PLC0415
            AgentrunError,
            ApiError,
            ConnectionFailedError,
            StreamLostError,
        )

        try:
            yield
        except ApiError as error:
            raise RefusedError(self._refusal(error)) from error
        except ConnectionFailedError as error:
            raise NotReachableError(self._no_answer(error)) from error
        except StreamLostError as error:
            again = f"; go on with: agentrun runs watch {error.run_id}" if error.run_id else ""
            raise NotReachableError(f"the stream is lost{again}") from error
        except AgentrunError as error:
            raise CommandError(str(error)) from error

    def _refusal(self, error: "ApiError") -> str:
        said = error.detail or error.title
        # The API's own answers name the faults in their detail, too.
        faults = [
            f"{fault.name}: {fault.reason}"
            for fault in error.invalid_params
            if fault.reason not in said
        ]
        said = "; ".join([said, *faults])
        remedy = f" {self.target.token.remedy}" if error.status == 401 else ""
        return f"{error.status} {said}{remedy}"

    def _no_answer(self, error: Exception) -> str:
        hint = "; is `make dev` running?" if self.target.is_local_default else ""
        reason = str(error).partition(": ")[2] or str(error)
        return f"{self.target.base_url} does not answer: {reason}{hint}"
