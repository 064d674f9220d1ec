"""
How Yahoo wants to be greeted: a cookie, and a crumb that belongs to it.

First the short way (``fc.yahoo.com`` answers 404 but sets the cookie A3); where that
yields none, the consent pages of the EU. Both were recorded [R].
"""

from __future__ import annotations

import re
from collections.abc import Generator
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from ingestion_server.domain.errors import CredentialsRefusedError
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.yahoo.declarations import (
    CONSENT_URL,
    COOKIE_URL,
    CRUMB_URL,
    HOSTS,
    NAME,
)

Exchange = Generator[HttpRequest, HttpResponse, Credentials]

_CRUMB: Final = re.compile(rb"[A-Za-z0-9._/~+=-]{8,20}")
_FIELD: Final = re.compile(
    r'<input type="hidden" name="(\w{1,40})" value="([^"]{0,400})"'
)
_COOKIE: Final = re.compile(r"([\w.-]{1,64})=([^;\s,]{0,4096})")
_MOST_HOPS: Final = 10
_REDIRECTS: Final = range(300, 400)


def greet() -> Exchange:
    """
    Return the exchange that yields a cookie and its crumb.

    Raises:
        CredentialsRefusedError: Neither way led to a crumb.

    """
    for way in (_short_way, _consent):
        cookies = yield from way()
        if "A3" not in cookies:
            continue
        reply = yield _request(CRUMB_URL, cookies)
        crumb = reply.body.strip()
        if reply.status == 200 and _CRUMB.fullmatch(crumb):  # noqa: PLR2004 - HTTP OK
            return Credentials(
                crumb=crumb.decode("ascii"), cookies=tuple(cookies.items())
            )
    raise CredentialsRefusedError(
        "yahoo gave no crumb, neither by cookie nor by consent", provider=NAME
    )


def _short_way() -> Generator[HttpRequest, HttpResponse, dict[str, str]]:
    reply = yield _request(COOKIE_URL, {})
    return _cookies(reply)


def _consent() -> Generator[HttpRequest, HttpResponse, dict[str, str]]:
    """Walk the consent pages: quote, form, its answer, and back."""
    cookies: dict[str, str] = {}
    request = _request(CONSENT_URL, cookies)
    submitted = False
    for _ in range(_MOST_HOPS):
        reply = yield request
        cookies |= _cookies(reply)
        location = reply.headers.get("location", "")
        if reply.status in _REDIRECTS and location:
            target = urljoin(_plain(request), location)
            # A relative hop of a simulator keeps the host of the page before.
            if urlsplit(target).hostname not in HOSTS:
                target = urljoin(_plain(request), _path(location))
            request = _request(target, cookies)
        elif b"csrfToken" in reply.body and not submitted:
            submitted = True
            fields = _FIELD.findall(reply.body.decode("utf-8", "replace"))
            form = [(name, unescape(value)) for name, value in fields]
            request = _request(
                _plain(request), cookies, form=(*form, ("agree", "agree"))
            )
        else:
            break
        if "A3" in cookies and submitted:
            break
    return cookies


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
        feature="session",
        follow_redirects=False,
    )


def cookie_header(cookies: tuple[tuple[str, str], ...]) -> str:
    """Return the value of the header Cookie."""
    return "; ".join(f"{name}={value}" for name, value in cookies)


def _cookies(reply: HttpResponse) -> dict[str, str]:
    """Return the cookies an answer sets, one header line per cookie."""
    found = {}
    for line in reply.headers.get("set-cookie", "").split("\n"):
        if match := _COOKIE.match(line.strip()):
            found[match[1]] = match[2]
    return found


def _plain(request: HttpRequest) -> str:
    return request.full_url


def _path(location: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
