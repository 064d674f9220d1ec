"""One HTTP exchange with a vendor, as data; and the door it goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

import msgspec

from ingestion_server.domain.query import Span


class HttpRequest(msgspec.Struct, frozen=True):
    """Ask a vendor; holds no secret until the vendor's ``sign`` adds it."""

    provider: str
    """Id of the vendor."""
    url: str
    """Scheme, host and path; the path is already percent-encoded."""
    params: tuple[tuple[str, str], ...] = ()
    """Query parameters, not encoded."""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    """Fields of a form body, for POST."""
    feature: str = ""
    """What a plan may not include, for example ``TIME_SERIES_DAILY:full``."""
    times: int = 1
    """How often the weight of its feature it is thought to cost: its bars, say."""
    follow_redirects: bool = True
    needs_session: bool = False
    """Whether it is refused where the vendor was not greeted before."""
    span: Span | None = None
    """Stretch of time the answer should cover; chooses among recordings."""

    @property
    def full_url(self) -> str:
        """Return the url with its encoded parameters."""
        if not self.params:
            return self.url
        return f"{self.url}?{urlencode(self.params, quote_via=quote, safe=',|:')}"


class HttpResponse(msgspec.Struct, frozen=True):
    """Hold a vendor's answer, decompressed, with our secrets blanked."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    """Names in lower case; repeated ones joined by a line feed."""
    received_at_ns: int = 0
    """When it arrived; for a recording, when it was recorded."""
    url: str = ""
    """Where it came from after redirects, with secrets blanked."""


class Trip(msgspec.Struct):
    """Be what is known of how far one call came; it changes."""

    left: bool | None = None
    """Whether any of it may have left this machine; None = nobody can tell."""


class Transport(Protocol):
    """
    Carry one exchange over the network, or answer from a recording.

    Raises only ``ProviderUnavailableError`` (cannot be reached, timed out, cut) and
    ``MalformedPayloadError`` (too large, wrong encoding, foreign redirect); of a
    recording, ``NoDataUnexplainedError`` naming the request that is not there.
    """

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """
        Send a signed request and read its answer.

        Whoever can tell how far it came keeps ``trip`` up to date, since that is read
        however this ends, cancelled included. In doubt the call has left.
        """
        ...

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Return when the answer to such a request was recorded; None if it is live."""
        ...
