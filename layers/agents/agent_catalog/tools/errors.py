"""How a tool says no."""


class ToolInputError(ValueError):
    """
    The tool cannot do what it was asked; the message is shown to the model and to the caller.

    Any other exception of a tool is logged, and both see only that the tool has failed.
    """
