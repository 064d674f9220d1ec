"""Blank our secrets in whatever leaves the transport."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from typing import Final, final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from ingestion_server.ports.http import HttpRequest

BLANK: Final = "***"
"""What stands where a secret stood."""

# Shorter ones would blank half of an innocent body.
_SHORTEST: Final = 4
# Cookies hold flags such as ``true`` and ``en-US``, which are no secrets.
_SHORTEST_COOKIE: Final = 8


def _none() -> Iterable[str]:
    return ()


@final
class Redactor:
    """
    Blank literal secrets, and the values of secret parameters such as ``apikey=…``.

    The literals are keys that an operator configured. What a vendor hands out in its
    greeting (cookies, crumbs) does not belong here: its provider has to read it.
    """

    def __init__(
        self,
        secrets: Callable[[], Iterable[str]] = _none,
        parameters: Iterable[str] = (),
    ) -> None:
        self._secrets = secrets
        self._parameters = tuple(sorted(set(parameters)))
        self._known: tuple[str, ...] = ()
        self._needles: tuple[tuple[str, bytes], ...] = ()
        names = "|".join(map(re.escape, self._parameters))
        # Not before a letter: ``gcrumb`` is another parameter than ``crumb``.
        pattern = rf"(?<![\w-])({names})=[^&#;\s\"'<>\\]+"
        self._marks = tuple(
            f"{spelling}=".encode()
            for name in self._parameters
            for spelling in {name, name.lower(), name.upper()}
        )
        self._in_text = re.compile(pattern, re.IGNORECASE)
        self._in_bytes = re.compile(pattern.encode(), re.IGNORECASE)

    def also(
        self, secrets: Iterable[str] = (), parameters: Iterable[str] = ()
    ) -> Redactor:
        """Return one that knows more."""
        more = tuple(secrets)
        return Redactor(
            lambda: (*self._secrets(), *more), (*self._parameters, *parameters)
        )

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        return self.texts((text,))[0]

    def texts(self, texts: Iterable[str]) -> list[str]:
        """Return the texts without secrets, which are looked up once for all."""
        needles = self._literals()
        return [self._blanked(text, needles) for text in texts]

    def _blanked(self, text: str, needles: tuple[tuple[str, bytes], ...]) -> str:
        for needle, _ in needles:
            text = text.replace(needle, BLANK)
        if "=" in text and self._parameters:
            text = self._in_text.sub(rf"\1={BLANK}", text)
        return text

    def body(self, body: bytes) -> bytes:
        """Return the bytes without secrets: the very same ones if they hold none."""
        for _, needle in self._literals():
            # A body lacks some byte of nearly every key, and a byte that is not there
            # is missed ten times faster than a string.
            if all(byte in body for byte in needle) and needle in body:
                body = body.replace(needle, BLANK.encode())
        # Looking for a fixed string is many times faster than the pattern, and for the
        # one byte that is in all of them many times faster again.
        if b"=" in body and any(mark in body for mark in self._marks):
            body = self._in_bytes.sub(rb"\1=" + BLANK.encode(), body)
        return body

    def _literals(self) -> tuple[tuple[str, bytes], ...]:
        secrets = tuple(self._secrets())
        if secrets != self._known:
            spellings = {text for secret in secrets for text in _spellings(secret)}
            # The longest first, or a part would be blanked and the rest remain.
            ordered = sorted(spellings, key=lambda text: (-len(text), text))
            self._needles = tuple(
                (text, text.encode(errors="replace")) for text in ordered
            )
            self._known = secrets
        return self._needles


def secrets_of(request: HttpRequest, parameters: Iterable[str]) -> list[str]:
    """Return the secrets that a signed request carries."""
    names = {name.lower() for name in parameters}
    query = parse_qsl(urlsplit(request.url).query)
    found = [
        value
        for name, value in (*request.params, *request.form, *query)
        if name.lower() in names
    ]
    for name, value in request.headers:
        if name.lower() == "cookie":
            cookies = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found += (c for c in cookies if len(c) >= _SHORTEST_COOKIE)
        elif name.lower() in {"authorization", *names}:
            found += value.split()[-1:]
    return found


def _spellings(secret: str) -> set[str]:
    """Return how bodies and urls spell a secret; nothing for a very short one."""
    if len(secret) < _SHORTEST:
        return set()
    encoded = {quote(secret, safe=""), quote_plus(secret), quote(secret)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), text) for text in encoded}
    escaped = json.dumps(secret)[1:-1]
    return {
        secret,
        *encoded,
        *lower,
        escaped,
        escaped.replace("/", "\\/"),
        html.escape(secret),
    }
