"""Which models have a known price."""

import os
from functools import cache

_FREE = frozenset({"demo", "test"})
"""They are played here; so a run with a budget in US dollars can be tried with them."""


class ModelPrices:
    """
    The port `PriceList`: the prices by which pydantic-ai reckons what answers cost.

    They are looked up by provider and name. There is none for a name that does not tell the model,
    as the ARN of an application inference profile, and none for a bare id on Bedrock of a model
    that is sold through inference profiles only.
    """

    def knows(self, model_id: str) -> bool:
        """Tell whether the cost of the model's answers is known."""
        if model_id in _FREE:
            return True
        kind, _, name = model_id.partition(":")
        if kind == "openai" and os.environ.get("OPENAI_BASE_URL"):
            # What a model is called there does not tell what that server asks for it.
            return False
        return bool(name) and _has_price(kind.removeprefix("gateway/"), name)


@cache
def _has_price(provider: str, name: str) -> bool:
    # Imported here: most runs have no such budget, and the first look-up reads all prices.
    from pydantic_ai.messages import ModelResponse  # noqa: PLC0415
    from pydantic_ai.usage import RequestUsage  # noqa: PLC0415

    usage = RequestUsage(input_tokens=1, output_tokens=1)
    answer = ModelResponse(parts=[], usage=usage, model_name=name, provider_name=provider)
    try:
        answer.cost()
    except (LookupError, ValueError):
        return False
    return True
