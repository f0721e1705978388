"""What the developer has to put right."""


class LocalStackError(Exception):
    """Something outside the code is wrong: the template, a port, a file. One line, no trace."""


class TemplateError(LocalStackError):
    """The template cannot be read, or asks for something that only AWS has."""
