"""The stream function, with the stamped model in place of the demo model."""

from unittest.mock import patch

from bench.stamped_model import stamped_model
from functions.stream.app import handler

# The first run looks it up by this name; for as long as the process lives.
patch("agent_catalog.models.factory.demo_model", lambda **_: stamped_model()).start()

__all__ = ["handler"]
