"""Checks of Bedrock models: whether they can be called, from which regions, and until when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_ai.providers.bedrock import remove_bedrock_geo_prefix

from agentrun_local.doctor.account import Account, NotLookedAtError, NotThereError
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem, warning

ANTHROPIC = "anthropic."
_NOTICE = timedelta(days=180)
_PROFILE_KINDS = ("inference-profile", "application-inference-profile")
_CATALOGUE = "Look it up in the Bedrock console, Model catalog, in the region of the deployment"
_SUBSCRIBE = (
    "Call the model once, for example in the Bedrock console's playground, as somebody who may"
    " aws-marketplace:Subscribe and aws-marketplace:ViewSubscriptions; the functions may not. It"
    " takes up to 15 minutes."
)
_REPLACE = "Choose a successor in the parameter Model, or in the agents' files that name it"


@dataclass(frozen=True)
class BedrockModel:
    """What a model id means: the model, and the regions that a profile may send calls to."""

    id: str
    regions: tuple[str, ...] = ()
    is_profile: bool = False

    @property
    def is_anthropic(self) -> bool:
        """Whether it is one of Anthropic's."""
        return self.id.startswith(ANTHROPIC)


class ModelChecks:
    """Checks of one account's models; of those in `anthropic`, `locked` cannot be called yet."""

    def __init__(self, account: Account, *, now: datetime | None = None) -> None:
        self._account = account
        self._now = now or datetime.now(UTC)
        self.anthropic: set[str] = set()
        self.locked: set[str] = set()
        self._known: dict[str, Any] = {}

    def findings(self, model_id: str) -> Iterator[Finding]:
        """Yield findings on one id, which has no `bedrock:` in front."""
        try:
            model = self._resolve(model_id)
        except NotThereError:
            yield problem(
                "model",
                f"{model_id}: there is no such model or inference profile in"
                f" {self._account.region}",
                f"{_CATALOGUE}, or list them: aws bedrock list-inference-profiles",
            )
            return
        except NotLookedAtError as error:
            yield not_looked_at("model", f"{model_id}: {error}", error.remedy)
            return
        if model.is_anthropic:
            self.anthropic.add(model.id)
        for check, look in (("model access", self._access), ("model life cycle", self._life)):
            try:
                yield look(model, model_id)
            except NotThereError:
                where = self._account.region
                yield not_looked_at(
                    check, f"{model_id}: {where} itself does not have {model.id}", f"{_CATALOGUE}."
                )
            except NotLookedAtError as error:
                yield not_looked_at(check, f"{model_id}: {error}", error.remedy)
        if model.is_profile:
            yield self._places(model, model_id)

    def _resolve(self, model_id: str) -> BedrockModel:
        kind = _arn_kind(model_id)
        if kind in _PROFILE_KINDS or (not kind and remove_bedrock_geo_prefix(model_id) != model_id):
            found = self._account.ask(
                "bedrock", "get_inference_profile", inferenceProfileIdentifier=model_id
            )
            arns = [str(model["modelArn"]) for model in found["models"]]
            if not arns:
                raise NotLookedAtError("the profile names no model", f"{_CATALOGUE}.")
            regions = tuple(sorted({region for arn in arns if (region := arn.split(":")[3])}))
            return BedrockModel(arns[0].rpartition("/")[2], regions, is_profile=True)
        if kind not in {"", "foundation-model"}:
            raise NotLookedAtError(
                f"'{kind}' is no foundation model or inference profile", f"{_CATALOGUE}."
            )
        model = BedrockModel(model_id.rpartition("/")[2])
        self._details(model)
        return model

    def _details(self, model: BedrockModel) -> Any:
        if model.id not in self._known:
            answer = self._account.ask("bedrock", "get_foundation_model", modelIdentifier=model.id)
            self._known[model.id] = answer["modelDetails"]
        return self._known[model.id]

    def _access(self, model: BedrockModel, model_id: str) -> Finding:
        check = "model access"
        details = self._details(model)
        ways = details.get("inferenceTypesSupported", [])
        if not model.is_profile and ways and "ON_DEMAND" not in ways:
            return problem(
                check,
                f"{model_id} cannot be called by its own name",
                f"Take an inference profile of it, such as global.{model.id}:"
                " aws bedrock list-inference-profiles.",
            )
        if not details.get("responseStreamingSupported", True):
            return problem(check, f"{model_id} does not stream", "Choose a model that does.")
        found = self._account.ask("bedrock", "get_foundation_model_availability", modelId=model.id)
        finding = _of_availability(found, model, model_id)
        if finding is None:
            return ok(check, f"{model_id}: may be called")
        if model.is_anthropic:
            self.locked.add(model.id)
        return finding

    def _life(self, model: BedrockModel, model_id: str) -> Finding:
        check = "model life cycle"
        life = self._details(model).get("modelLifecycle", {})
        status, end = life.get("status", "unknown"), life.get("endOfLifeTime")
        is_over = end is not None and end <= self._now
        said = f"{model_id}: {status}"
        if end is not None:
            said += f", {'ended' if is_over else 'ends'} on {end:%Y-%m-%d}"
        if is_over:
            return problem(check, said, f"{_REPLACE}: every run of it fails.")
        if status == "LEGACY" or (end and end - self._now < _NOTICE):
            return warning(check, said, f"{_REPLACE}, before it ends.")
        return ok(check, said)

    @staticmethod
    def _places(model: BedrockModel, model_id: str) -> Finding:
        if not model.regions or model_id.rpartition("/")[2].startswith("global."):
            return not_looked_at(
                "model regions",
                f"{model_id} answers from any commercial region; policies of your organisation"
                " cannot be read from here",
                "Where one denies regions, let it pass bedrock:InvokeModel* with the"
                " aws:RequestedRegion 'unspecified', or take a profile of one geography.",
            )
        return not_looked_at(
            "model regions",
            f"{model_id} answers from {', '.join(model.regions)}; policies of your organisation"
            " cannot be read from here",
            "Where one denies regions, let it pass bedrock:InvokeModel* in all of these.",
        )


def _of_availability(found: Any, model: BedrockModel, model_id: str) -> Finding | None:
    """Return what stands in the way of the first call; None if nothing does."""
    check = "model access"
    agreement = found["agreementAvailability"]
    status = agreement["status"]
    if not model.is_profile and found["regionAvailability"] != "AVAILABLE":
        return problem(check, f"{model_id} is not available in this region", f"{_CATALOGUE}.")
    if found["authorizationStatus"] != "AUTHORIZED":
        return problem(
            check,
            f"{model_id}: this account is not authorized to use it",
            "See whether IAM, a policy of your organisation or its private marketplace denies it.",
        )
    if status == "PENDING":
        return warning(check, f"{model_id}: its subscription is under way", "Wait 15 minutes.")
    if status == "ERROR":
        said = agreement.get("errorMessage", "no reason given")
        return problem(check, f"{model_id}: its subscription has failed: {said}", _SUBSCRIBE)
    if status != "AVAILABLE" or found["entitlementAvailability"] != "AVAILABLE":
        return problem(check, f"{model_id}: this account has not subscribed to it yet", _SUBSCRIBE)
    return None


def anthropics_form(account: Account, *, locked: bool) -> Finding:
    """
    Check that Anthropic's form for first use has been sent; its content is not shown.

    Args:
        account: The account that would have sent it.
        locked: Whether a model of Anthropic's cannot be called yet.
    """
    check = "Anthropic's form"
    remedy = (
        "Open one of Anthropic's models in the Bedrock console, Model catalog, and submit the use"
        " case details, once for the account or in the organisation's management account."
    )
    try:
        account.ask("bedrock", "get_use_case_for_model_access")
    except NotThereError:
        said = "this account has not sent the use case details that Anthropic asks for"
        if locked:
            return problem(check, said, remedy)
        return warning(check, f"{said}, though its models may be called", remedy)
    except NotLookedAtError as error:
        return not_looked_at(check, str(error), error.remedy)
    return ok(check, "has been sent")


def _arn_kind(model_id: str) -> str:
    if not model_id.startswith("arn:"):
        return ""
    return model_id.split(":", 5)[-1].partition("/")[0]
