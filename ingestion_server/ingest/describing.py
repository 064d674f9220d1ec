"""What is told of routes and of tries to whoever records a trace."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.result import Attempt, Outcome
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.tracing import Span


def describe_try(part: Span, request: HttpRequest, resends: int) -> None:
    """
    Tell a span what is asked, by OpenTelemetry's conventions for HTTP.

    The request is not signed yet, so its url holds no key.
    """
    if not part.is_recorded:
        return
    url = urlsplit(request.url)
    part.set("http.request.method", request.method)
    part.set("url.full", request.full_url)
    part.set("server.address", url.hostname or "")
    part.set("server.port", url.port or (80 if url.scheme == "http" else 443))
    part.set("ingestion.provider", request.provider)
    part.set("ingestion.endpoint", request.feature)
    if resends:
        part.set("http.request.resend_count", resends)


def describe_route(
    part: Span, mode: SourceMode, chosen: Iterable[str], attempts: Iterable[Attempt]
) -> None:
    """Tell a span whom a route led to, and why not to the others."""
    part.set("ingestion.mode", mode.value)
    part.set("ingestion.chosen", tuple(dict.fromkeys(chosen)))
    part.set("ingestion.candidates", tuple(dict.fromkeys(map(_told, attempts))))


def _told(attempt: Attempt) -> str:
    outcome = f"{attempt.provider}: {attempt.outcome.value}"
    if attempt.outcome is Outcome.SERVED or not attempt.reason:
        return outcome
    return f"{outcome}, {attempt.reason}"
