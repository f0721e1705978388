"""The developer's AWS account, read only."""

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as AwsConnectionError

from agentrun_local.doctor.findings import Finding, not_looked_at, ok

# A check should rather report a time-out than wait longer.
_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)
_SIGN_IN = "Sign in (aws configure, aws sso login, or AWS_PROFILE) and call this again."
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_NOT_FOUND = frozenset({"ResourceNotFoundException", "NotFoundException"})
# Operations whose ValidationException means that there is no such id.
_NO_SUCH_ID = frozenset({"get_foundation_model", "get_inference_profile"})
_INVALID = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class NotLookedAtError(Exception):
    """AWS gave no answer; `remedy` says how to get one."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


class NotThereError(Exception):
    """AWS says that there is no such thing."""


class Account:
    """The account of the developer's credentials, in the region of the deployment."""

    def __init__(self, *, region: str | None, profile: str | None) -> None:
        """Take region and profile, by default the environment's; call nothing yet."""
        self._why_not: NotLookedAtError | None = None
        self.id = ""
        self.region = region or ""
        self.is_reached = False
        try:
            self._session = boto3.Session(profile_name=profile, region_name=region)
            self.region = self._session.region_name or ""
            if not self.region:
                # Not every client refuses to work without: that of STS would ask in us-east-1.
                self._why_not = _reason("", NoRegionError())
        except BotoCoreError as error:
            self._why_not = _reason("sts:GetCallerIdentity", error)

    def identify(self) -> Finding:
        """Ask whose credentials these are; if that fails, AWS is not asked again."""
        check = "region and identity"
        try:
            identity = self.ask("sts", "get_caller_identity")
        except NotLookedAtError as error:
            self._why_not = NotLookedAtError(f"AWS could not be asked, see {check}")
            return not_looked_at(check, str(error), error.remedy)
        self.id = str(identity["Account"])
        self.is_reached = True
        return ok(check, f"{self.region}, account {self.id}, as {identity['Arn']}")

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        """
        Call an operation that changes nothing.

        Raises:
            NotLookedAtError: No credentials, no network, no permission, or an error.
            NotThereError: What was asked for does not exist.
        """
        if self._why_not is not None:
            raise self._why_not
        permission = _permission(service, operation)
        try:
            make_client: Callable[..., Any] = self._session.client
            client = make_client(service, config=_CONFIG)
            return getattr(client, operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            unknown_id = code == "ValidationException" and operation in _NO_SUCH_ID
            if code in _NOT_FOUND or unknown_id:
                raise NotThereError(permission) from error
            raise _refusal(permission, code) from error
        except BotoCoreError as error:
            raise _reason(permission, error) from error


def _permission(service: str, operation: str) -> str:
    # API Gateway's actions are HTTP methods.
    if service == "apigateway":
        return "apigateway:GET"
    return f"{service}:{''.join(part.title() for part in operation.split('_'))}"


def _refusal(permission: str, code: str) -> NotLookedAtError:
    if code in _DENIED:
        return NotLookedAtError(
            f"your credentials may not call {permission}", f"Allow {permission}, or ask who may."
        )
    if code in _INVALID:
        return NotLookedAtError(
            f"your AWS credentials have expired or are wrong ({code})", _SIGN_IN
        )
    return NotLookedAtError(f"{permission} answered {code}", "Call this again in a minute.")


def _reason(permission: str, error: BotoCoreError) -> NotLookedAtError:
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return NotLookedAtError("there are no AWS credentials here", _SIGN_IN)
        case NoRegionError():
            return NotLookedAtError(
                "no AWS region is set", "Give --region, or set AWS_REGION or samconfig.toml's."
            )
        case ProfileNotFound():
            return NotLookedAtError(
                "the AWS profile that is asked for does not exist", "See aws configure list."
            )
        case AwsConnectionError() | HTTPClientError():
            return NotLookedAtError(
                f"{permission} could not be reached ({type(error).__name__})",
                "Is there a network, and is the region spelt right?",
            )
        case _:
            # Among them are expired sign-ins, for which botocore has a class each.
            return NotLookedAtError(
                f"{permission} could not be called ({type(error).__name__})", _SIGN_IN
            )
