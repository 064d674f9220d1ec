"""What is kept beside a recorded body: ``X.meta.json``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final

import msgspec

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.transport.redaction import BLANK, Redactor

SUFFIX: Final = ".meta.json"
"""Is added to the name of the body."""

_SECRET_HEADERS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key"}
)


class Envelope(msgspec.Struct, frozen=True):
    """Hold the facts of an exchange that its body does not tell."""

    headers: Mapping[str, str | list[str]] = {}
    recorded: str = ""
    """When; as HTTP writes dates, or as ISO does."""
    status: int = 200
    url: str = ""
    """What was asked, with secrets blanked."""

    def flat_headers(self) -> dict[str, str]:
        """Return the headers as ``HttpResponse`` holds them."""
        return {
            name.lower(): value if isinstance(value, str) else "\n".join(value)
            for name, value in self.headers.items()
        }

    def recorded_ns(self) -> int | None:
        """Return when it was recorded; None if that is not readable."""
        for read in (dt.datetime.fromisoformat, parsedate_to_datetime):
            try:
                moment = read(self.recorded)
            except ValueError:
                continue
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=dt.UTC)
            return int(moment.timestamp()) * SECOND_NS
        return None


_decoder = msgspec.json.Decoder(Envelope)


def beside(body: Path) -> Path:
    """Return where the envelope of a body lies."""
    return body.with_name(body.name + SUFFIX)


def encoded(envelope: Envelope) -> bytes:
    """Return the text of an envelope."""
    fields = msgspec.to_builtins(envelope)
    text = json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False)
    # Headers may hold bytes that are no UTF-8; aiohttp makes lone surrogates of them.
    return f"{text}\n".encode(errors="replace")


def decoded(text: bytes) -> Envelope:
    """
    Read an envelope.

    Raises:
        msgspec.MsgspecError: It is none.

    """
    return _decoder.decode(text)


def sealed(
    headers: Mapping[str, str],
    *,
    received_at_ns: int,
    status: int,
    url: str,
    redactor: Redactor,
) -> Envelope:
    """Return the envelope of an exchange, with secrets blanked."""
    kept: dict[str, str | list[str]] = {}
    for name, value in sorted(headers.items()):
        lines = [redactor.text(line) for line in value.split("\n")]
        if name == "set-cookie":
            kept[name] = [_without_value(line) for line in lines]
        elif name in _SECRET_HEADERS:
            kept[name] = BLANK
        else:
            kept[name] = lines if len(lines) > 1 else lines[0]
    return Envelope(
        headers=kept,
        recorded=formatdate(received_at_ns // SECOND_NS, usegmt=True),
        status=status,
        url=redactor.text(url),
    )


def _without_value(cookie: str) -> str:
    """Keep the name and the attributes of a cookie."""
    pair, semicolon, attributes = cookie.partition(";")
    return f"{pair.partition('=')[0]}={BLANK}{semicolon}{attributes}"
