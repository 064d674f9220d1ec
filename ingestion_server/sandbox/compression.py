"""Compress what goes out, for callers who can read that."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import brotli  # type: ignore[import-untyped]  # it has none

from ingestion_server.sandbox.wire import Reply

_LEAST_BYTES: Final = 48
"""Recorded: a quote of 94 bytes is compressed; an empty object gains nothing."""
_QUALITY: Final = 4
_CODING: Final = "br"


def compressed(reply: Reply, accepted: str) -> Reply:
    """Return the reply in Brotli if its vendor would and the caller accepts it."""
    codings = {
        coding.partition(";")[0].strip().lower() for coding in accepted.split(",")
    }
    if not reply.brotli or _CODING not in codings or len(reply.body) < _LEAST_BYTES:
        return reply
    body: bytes = brotli.compress(reply.body, quality=_QUALITY)
    sent = reply.sent_bytes
    if sent is not None:
        # The same part of what goes over the wire.
        sent = len(body) * sent // len(reply.body)
    headers = (*reply.headers, ("Content-Encoding", _CODING))
    return replace(reply, body=body, sent_bytes=sent, headers=headers)
