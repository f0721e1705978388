"""The stream function as it is, with the stamped model for the demo model."""

from bench.inside.stamped_model import replace_demo_model, stamped_model
from functions.stream.app import handler

replace_demo_model(stamped_model())

__all__ = ["handler"]
