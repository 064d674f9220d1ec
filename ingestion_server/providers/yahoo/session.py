"""
How Yahoo wants to be greeted: a cookie, and a crumb that belongs to it.

First the short way (``fc.yahoo.com`` answers 404 but sets the cookie A3); where that
yields none, the consent pages of the EU. Both were recorded [R].
"""

from __future__ import annotations

import re
import string
from collections.abc import Generator
from html import unescape
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.yahoo.declarations import (
    CONSENT_URL,
    COOKIE_URL,
    CRUMB_URL,
    HOSTS,
    NAME,
    SESSION,
)

Exchange = Generator[HttpRequest, HttpResponse, Credentials]

_CRUMB: Final = re.compile(rb"[A-Za-z0-9._/~+=-]{8,20}")
_FIELD: Final = re.compile(
    r'<input type="hidden" name="(\w{1,40})" value="([^"]{0,4000})"', re.ASCII
)
_COOKIE: Final = re.compile(r"([\w.-]{1,64})=([!-+\--:<-~]{0,4096})", re.ASCII)
_DELETED: Final = re.compile(r";\s*max-age=(0|-\d+)\s*(;|$)", re.IGNORECASE)
_MOST_HOPS: Final = 10
_REDIRECTS: Final = range(300, 400)
_PRINTABLE: Final = string.ascii_letters + string.digits + string.punctuation
_AGREED: Final = ("agree", "agree")


def greet() -> Exchange:
    """
    Return the exchange that yields a cookie and its crumb.

    A request that failed is told by throwing ``ProviderUnavailableError``.

    Raises:
        ProviderUnavailableError: No way could be gone to its end.
        CredentialsRefusedError: Neither way led to a crumb.

    """
    closed: list[ProviderUnavailableError] = []
    for way in _WAYS:
        try:
            cookies = yield from way()
            if "A3" not in cookies:
                continue
            reply = yield _request(CRUMB_URL, cookies)
        except ProviderUnavailableError as error:
            # A host that cannot be reached closes one way, not the other.
            closed.append(error)
            continue
        crumb = reply.body.strip()
        if reply.status == HTTPStatus.OK and _CRUMB.fullmatch(crumb):
            return Credentials(
                crumb=crumb.decode("ascii"), cookies=tuple(cookies.items())
            )
    if len(closed) == len(_WAYS):
        raise closed[-1]
    raise CredentialsRefusedError(
        "yahoo gave no crumb, neither by cookie nor by consent", provider=NAME
    )


def _short_way() -> Generator[HttpRequest, HttpResponse, dict[str, str]]:
    reply = yield _request(COOKIE_URL, {})
    return _with_cookies({}, reply)


def _consent() -> Generator[HttpRequest, HttpResponse, dict[str, str]]:
    """Walk the consent pages: quote, form, its answer, and back."""
    cookies: dict[str, str] = {}
    request = _request(CONSENT_URL, cookies)
    submitted = False
    for _ in range(_MOST_HOPS):
        reply = yield request
        cookies = _with_cookies(cookies, reply)
        location = reply.headers.get("location", "")
        if submitted and "A3" in cookies:
            break
        if reply.status in _REDIRECTS and location:
            target = _target(request, location)
            if target is None:
                break
            request = _request(target, cookies)
        elif b"csrfToken" in reply.body and not submitted:
            submitted = True
            fields = _FIELD.findall(reply.body.decode("utf-8", "replace"))
            form = [(name, unescape(value)) for name, value in fields]
            # The button's name goes twice [R].
            request = _request(
                request.full_url, cookies, form=(*form, _AGREED, _AGREED)
            )
        else:
            break
    return cookies


def _target(request: HttpRequest, location: str) -> str | None:
    """
    Return where a redirect leads, always on one of the vendor's hosts, by https.

    Of a foreign host (a simulator names itself) only the path is followed, on the
    host of the page before, so that no cookie goes astray. None if it is no url.
    """
    here = urlsplit(request.full_url)
    try:
        plain = quote(location.strip(), safe=_PRINTABLE, errors="surrogateescape")
        there = urlsplit(urljoin(request.full_url, plain))
        host = there.hostname
    except ValueError:
        return None
    netloc = host if host in HOSTS else here.netloc
    query = f"?{there.query}" if there.query else ""
    return f"https://{netloc}/{there.path.lstrip('/')}{query}"


def _request(
    url: str, cookies: dict[str, str], form: tuple[tuple[str, str], ...] = ()
) -> HttpRequest:
    parts = urlsplit(url)
    headers = (("Cookie", cookie_header(tuple(cookies.items()))),) if cookies else ()
    return HttpRequest(
        NAME,
        f"{parts.scheme}://{parts.netloc}{parts.path or '/'}",
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
        method="POST" if form else "GET",
        headers=headers,
        form=form,
        feature=SESSION,
        follow_redirects=False,
    )


def cookie_header(cookies: tuple[tuple[str, str], ...]) -> str:
    """Return the value of the header Cookie."""
    return "; ".join(f"{name}={value}" for name, value in cookies)


def _with_cookies(known: dict[str, str], reply: HttpResponse) -> dict[str, str]:
    """Return the cookies after an answer that sets or deletes some, one a line."""
    cookies = dict(known)
    for line in reply.headers.get("set-cookie", "").split("\n"):
        match = _COOKIE.match(line.strip())
        if match is None:
            continue
        if match[2] and not _DELETED.search(line):
            cookies[match[1]] = match[2]
        else:
            cookies.pop(match[1], None)
    return cookies


_WAYS: Final = (_short_way, _consent)
