"""Names of recorded files: readable, stable, and safe for any symbol."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.http import HttpResponse
from ingestion_server.transport.redaction import BLANK

_LONGEST: Final = 120
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.=^_+-]+")
_LAST_SEGMENTS: Final = 2
_KINDS: Final = (("json", "json"), ("csv", "csv"), ("html", "html"))


def folder_of(provider: str) -> str:
    """Return the folder of a vendor."""
    return provider.replace("_", "")


def stem_of(url: str, received_at_ns: int) -> str:
    """
    Return the name of a recording without its ending.

    It tells the path's end, the values of the parameters, and when it was; two
    urls that look alike at the same second get the same one. Secrets are blank in
    the url already, and have no part in the name.
    """
    parts = urlsplit(url)
    segments = [unquote(s) for s in parts.path.split("/") if s]
    told = (*segments[-_LAST_SEGMENTS:], *(v for _, v in parse_qsl(parts.query)))
    words = (_UNSAFE.sub("_", word) for word in told if word != BLANK)
    readable = "-".join(words).strip(".-")[:_LONGEST] or "answer"
    moment = dt.datetime.fromtimestamp(received_at_ns // SECOND_NS, tz=dt.UTC)
    return f"{readable}-{moment:%Y%m%dT%H%M%SZ}"


def ending_of(response: HttpResponse) -> str:
    """Return ``json``, ``csv``, ``html`` or ``txt``."""
    kind = response.headers.get("content-type", "").lower()
    for mark, ending in _KINDS:
        if mark in kind:
            return ending
    head = response.body[:256].lstrip()
    if head.startswith((b"{", b"[")):
        return "json"
    if head.startswith(b"<"):
        return "html"
    # Alpha Vantage sends its tables as ``application/x-download``.
    return "csv" if b"," in head.partition(b"\n")[0] else "txt"
