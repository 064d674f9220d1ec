"""Let vendors know of which trace a call of theirs is a part."""

from __future__ import annotations

from typing import final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.ports.http import HttpRequest, HttpResponse, Transport, Trip
from ingestion_server.ports.tracing import outgoing


@final
class PropagatingTransport(Transport):
    """Send the trace along with each request; only where an operator wants that."""

    def __init__(self, transport: Transport) -> None:
        """Send by another one."""
        self._transport = transport

    @override
    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """Send a signed request, with the W3C's header, and read its answer."""
        parent = outgoing()
        if parent is not None:
            headers = (*request.headers, ("traceparent", parent))
            request = replace(request, headers=headers)
        return await self._transport.send(
            request, timeout_seconds=timeout_seconds, trip=trip
        )

    @override
    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Return what the other one says."""
        return self._transport.as_of_ns(request)
