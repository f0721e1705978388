"""The models of one engine, and the keys that they were built with."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from pydantic_ai.models import Model

from agent_catalog.secret_variables import SecretsUnavailableError, secret_values
from agentrun.domain.errors import EngineError

# All others may need a key. Bedrock is called with the function's role.
_WITHOUT_KEY = frozenset({"demo", "test", "bedrock"})

_Secret = Mapping[str, str] | SecretsUnavailableError


class ModelPool:
    """
    Builds each model at its first use, and again once the secret with its key has changed.

    A model that another one has replaced is let go of with the last run that uses it.
    """

    def __init__(self, create: Callable[[str], Model]) -> None:
        self._create = create
        self._models: dict[str, tuple[Mapping[str, str], Model]] = {}

    async def for_run(self, *model_ids: str | None) -> Callable[[str], Model]:
        """
        Return the function that one run gets its models from, by their ids.

        It raises EngineError where a model is not set up, or its key cannot be read; a later run
        may fare better.

        Args:
            model_ids: The models that the run may use. The deployment's secret is looked at only
                where one of them may need a key.
        """
        secret: _Secret = {}
        if any(model_id and _may_need_key(model_id) for model_id in model_ids):
            try:
                secret = await secret_values()
            except SecretsUnavailableError as error:
                # The run may do without that model: it may be the one for follow-ups.
                secret = error
        return partial(self._model, secret)

    def _model(self, secret: _Secret, model_id: str) -> Model:
        if not _may_need_key(model_id):
            secret = {}
        if isinstance(secret, SecretsUnavailableError):
            raise EngineError(
                f"The key of the model '{model_id}' cannot be read at the moment; try again.",
                error_type="MODEL_ERROR",
            ) from secret
        built = self._models.get(model_id)
        if built is None or built[0] != secret:
            with _in_environment(secret):
                built = secret, self._create(model_id)
            self._models[model_id] = built
        return built[1]


def _may_need_key(model_id: str) -> bool:
    return model_id.partition(":")[0] not in _WITHOUT_KEY


@contextmanager
def _in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """
    Show the variables to the block, as part of the environment.

    Each provider's client looks there, under names of its own, and there alone for some of them.
    What starts a process meanwhile, in another thread, would hand them on; nothing here does.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
