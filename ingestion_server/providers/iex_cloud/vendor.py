"""IEX Cloud in one glance; how it is done lies in the modules beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import Span
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import (
    BarAsk,
    Capability,
    Credentials,
    Identity,
    Lifecycle,
    Page,
)
from ingestion_server.ports.searching import SymbolSearch
from ingestion_server.ports.stream import Quoting, Streaming, TradeHistory
from ingestion_server.providers.iex_cloud import (
    actions,
    charts,
    complaints,
    declarations,
    quotes,
    recordings,
    requests,
    symbols,
)
from ingestion_server.providers.iex_cloud.batching import IexBatching
from ingestion_server.providers.iex_cloud.quotes import IexQuoting


@final
class IexCloud:
    """
    Be IEX Cloud, or a service that speaks as it did: US days, minutes and quotes.

    ``base_url`` is the address of that service, below which ``stock/…`` lies; empty =
    that of the closed one.
    """

    name: str = declarations.NAME
    lifecycle: Lifecycle = declarations.LIFECYCLE
    plans: Mapping[str, Budget] = declarations.PLANS
    default_plan: str = declarations.DEFAULT_PLAN
    endpoints: frozenset[str] = declarations.ENDPOINTS
    capabilities: Sequence[Capability] = declarations.CAPABILITIES
    feed_delay_seconds: float | None = declarations.FEED_DELAY_SECONDS
    needs_key: bool = True
    streaming: Streaming | None = None
    trade_history: TradeHistory | None = None
    symbol_search: SymbolSearch | None = None
    secret_parameters: frozenset[str] = declarations.SECRET_PARAMETERS

    def __init__(self, *, base_url: str = "") -> None:
        self._root = f"{(base_url or declarations.API_URL).rstrip('/')}/"
        self.hosts: frozenset[str] = frozenset(
            {*declarations.HOSTS, declarations.host_of(self._root)}
        )
        self.quoting: Quoting | None = IexQuoting(self._root)
        self.batching: BarBatching | None = IexBatching(self._root)

    def spelling(self, instrument: Instrument) -> str | None:
        """Return the vendor's own symbol, or None if it cannot mean the instrument."""
        return symbols.spelling(instrument)

    def names_unit(self, instrument: Instrument) -> bool:
        """Tell that the unit is known: all that it has is in dollars."""
        return symbols.spelling(instrument) is not None

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Return the requests whose pages together cover the span."""
        return requests.bar_requests(self._root, ask)

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Read one page of bars; raises only ``ProviderError``."""
        return charts.read_bars(response.body, ask)

    def action_requests(
        self,
        instrument: Instrument,
        adjustments: frozenset[Adjustment],
        now_ns: int,  # noqa: ARG002 - ranges end with the present
    ) -> Sequence[HttpRequest]:
        """Return the requests that tell all corporate actions; empty if none can."""
        return requests.action_requests(self._root, instrument, adjustments)

    def read_actions(
        self,
        responses: Sequence[HttpResponse],
        instrument: Instrument,  # noqa: ARG002 - answers are read alike for all
    ) -> CorporateActions:
        """Read the answers to ``action_requests``, in their order."""
        return actions.read_actions(responses)

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add the key; called next to the wire."""
        return requests.signed(request, credentials)

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Raise the classified error if the answer is a complaint."""
        complaints.check(request, response)

    def greet(self, credentials: Credentials) -> None:
        """Return None: there is nothing to exchange before the first question."""

    def identity(
        self,
        url: str,
        body: bytes,  # noqa: ARG002 - the url says it all
    ) -> Identity | None:
        """Say which resource a recorded url holds."""
        if declarations.host_of(url) not in self.hosts:
            return None
        return recordings.identity(url)

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Return the time that a recorded body of bars covers; None if it has none."""
        return recordings.body_span(url, body)

    def told_at_ns(self, body: bytes) -> int | None:
        """Return the time of the latest trade that a quote tells."""
        return quotes.told_at_ns(body)
