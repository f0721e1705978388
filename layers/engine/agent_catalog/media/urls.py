"""Which URLs may lead to media, by their text alone; the rules are those of all URLs of callers."""

from agentrun.domain.public_urls import MAX_URL_CHARACTERS, UnusableUrlError, split_url

__all__ = ["MAX_URL_CHARACTERS", "DownloadTooLargeError", "UnusableUrlError", "check_url"]


class DownloadTooLargeError(Exception):
    """A URL leads to more bytes than are accepted."""


def check_url(url: str) -> None:
    """
    Check a URL by its text, without looking up where it leads.

    Raises:
        UnusableUrlError: It has another scheme or port, or credentials, or is not a URL.
    """
    split_url(url)
