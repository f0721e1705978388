"""Downloads from public hosts, the only place where callers choose what we connect to."""

from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import httpx2
from pydantic_ai._ssrf import ResolvedUrl, build_url_with_ip, validate_and_resolve_url

from agent_catalog.media.urls import DownloadTooLargeError, UnusableUrlError, check_url

MAX_REDIRECTS = 5

# Created once, at import: it blocks, and this module is imported in a thread.
_TRUSTED = httpx2.create_ssl_context(trust_env=False)


async def download(url: str, *, max_bytes: int) -> bytes:
    """
    Return what a URL leads to, following redirects; the caller sets the time limit.

    At each hop the URL is checked, its name is resolved once, and pydantic-ai's guard checks all of
    the name's addresses. The connection goes to a checked address, so that a name server cannot
    answer the check and the connection differently. No proxy, cookie or credential is used.

    Raises:
        UnusableUrlError: A hop is not allowed, or its answer is not a plain file.
        DownloadTooLargeError: It is larger than `max_bytes`, or the server says so.
    """
    # Not the guard's `safe_download`, which does not check the ports that redirects lead to.
    for _ in range(1 + MAX_REDIRECTS):
        check_url(url)
        target = await _public_address(url)
        try:
            # One client per hop: a connection to an address must not be reused for another name.
            async with (
                httpx2.AsyncClient(verify=_TRUSTED, trust_env=False, timeout=None) as client,
                client.stream(
                    "GET",
                    build_url_with_ip(target),
                    headers=_headers(target),
                    extensions={"sni_hostname": target.hostname},
                    follow_redirects=False,
                ) as response,
            ):
                if not response.has_redirect_location:
                    return await _body(response, max_bytes)
                url = urljoin(url, response.headers["location"])
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise UnusableUrlError("could not be downloaded") from error
    raise UnusableUrlError(f"leads to more than {MAX_REDIRECTS} redirects")


async def _public_address(url: str) -> ResolvedUrl:
    try:
        target = await validate_and_resolve_url(url, allow_local=False)
        # The guard has a list of what is not public; `is_global` knows more.
        if not ip_address(target.resolved_ip).is_global:
            raise ValueError(f"{target.resolved_ip} is not global")
    except (ValueError, OSError) as error:
        # One message for all, so that callers cannot find out internal names.
        raise UnusableUrlError("does not lead to a public host") from error
    # The guard's own path drops what follows a semicolon.
    parts = urlsplit(url)
    path = parts.path or "/"
    return replace(target, path=f"{path}?{parts.query}" if parts.query else path)


def _headers(target: ResolvedUrl) -> dict[str, str]:
    host = f"[{target.hostname}]" if ":" in target.hostname else target.hostname
    return {"Host": host, "Accept-Encoding": "identity", "User-Agent": "agentrun"}


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != 200:
        raise UnusableUrlError(f"was answered with the status {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        # Not asked for, and a few bytes of it can become gigabytes.
        raise UnusableUrlError("was answered in a compressed form")
    if int(response.headers.get("content-length", "0")) > max_bytes:
        raise DownloadTooLargeError
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > max_bytes:
            raise DownloadTooLargeError
    return bytes(content)
