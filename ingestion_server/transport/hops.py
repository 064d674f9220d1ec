"""Where a request may go, and where a redirect leads; pure."""

from __future__ import annotations

import string
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

import msgspec

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.ports.http import HttpRequest

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TURN_TO_GET: Final = frozenset(
    {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}
)
_OF_A_BODY: Final = frozenset({"content-type", "content-length"})
HTTP: Final = frozenset({"http", "https"})
WEBSOCKET: Final = frozenset({"ws", "wss"})
_PRINTABLE: Final = string.ascii_letters + string.digits + string.punctuation
_URL: Final = frozenset(_PRINTABLE)


def checked(
    request: HttpRequest, hosts: frozenset[str], schemes: frozenset[str] = HTTP
) -> SplitResult:
    """
    Return the parts of a request's address.

    Raises:
        MalformedPayloadError: It is no url, or leads to a foreign host.

    """
    url = request.full_url
    parts = _split(url)
    if parts is None or not _URL.issuperset(url):
        raise _refusal(request, "an address that is no url")
    if parts.scheme not in schemes or "@" in parts.netloc:
        raise _refusal(request, f"an address of {parts.hostname} that is refused")
    if parts.hostname not in hosts:
        raise _refusal(request, f"the host {parts.hostname}, which is not its own")
    return parts


def next_hop(
    request: HttpRequest,
    status: int,
    location: str | None,
    *,
    hosts: frozenset[str],
    sandbox: SplitResult | None,
) -> HttpRequest | None:
    """
    Return the request that a redirect asks for; None if the answer is none.

    Raises:
        MalformedPayloadError: It leads away from the vendor's hosts, or from https.

    """
    if status not in _REDIRECTS or not location:
        return None
    here = urlsplit(request.full_url)
    # Spaces and letters beyond ASCII are seen in the wild; no wire may carry them.
    location = quote(location.strip(), safe=_PRINTABLE, errors="surrogateescape")
    there = _split(location, request.full_url)
    if there is None:
        raise _refusal(request, "a redirect to what is no url")
    if sandbox is not None and there.netloc == sandbox.netloc:
        there = there._replace(scheme=here.scheme, netloc=here.netloc)
    hop = msgspec.structs.replace(
        request, url=urlunsplit(there._replace(fragment="")), params=()
    )
    checked(hop, hosts)
    # A simulator speaks plain HTTP on behalf of hosts that do not.
    if there.scheme not in {"https", here.scheme} and sandbox is None:
        raise _refusal(request, f"a redirect to plain HTTP on {there.hostname}")
    dropped: set[str] = set()
    if status in _TURN_TO_GET and request.method == "POST":
        hop = msgspec.structs.replace(hop, method="GET", form=())
        dropped |= _OF_A_BODY
    if there.hostname != here.hostname:
        dropped.add("authorization")
    headers = tuple(pair for pair in hop.headers if pair[0].lower() not in dropped)
    return msgspec.structs.replace(hop, headers=headers)


def on_the_wire(parts: SplitResult, sandbox: SplitResult | None) -> str:
    """Return the url to dial: at a simulator, if there is one."""
    path = parts._replace(path=parts.path or "/", fragment="")
    if sandbox is not None:
        path = path._replace(scheme=sandbox.scheme, netloc=sandbox.netloc)
    return urlunsplit(path)


def _split(url: str, base: str = "") -> SplitResult | None:
    """Return the parts of a url, absolute or not; None if it is none."""
    try:
        parts = urlsplit(urljoin(base, url))
        _ = parts.port  # raises if it is no number
    except ValueError:
        return None
    return parts if parts.hostname else None


def _refusal(request: HttpRequest, what: str) -> MalformedPayloadError:
    return MalformedPayloadError(
        f"{request.provider} led to {what}", provider=request.provider
    )
