"""Errors that the user can fix."""


class ProjectError(Exception):
    """A project cannot be made, upgraded or deployed; the message is one line, or a few."""
