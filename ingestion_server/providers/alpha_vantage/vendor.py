"""Alpha Vantage in one glance; how it is done lies in the modules beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

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
from ingestion_server.providers.alpha_vantage import (
    actions,
    bars,
    complaints,
    declarations,
    recordings,
    requests,
    symbols,
)
from ingestion_server.providers.alpha_vantage.declarations import (
    Datatype,
    IntradayLabel,
)
from ingestion_server.providers.alpha_vantage.quoting import AlphaVantageQuoting


@final
class AlphaVantage:
    """
    Be Alpha Vantage: bars and latest prices of equities, currencies and crypto, and
    corporate actions.

    ``intraday_label`` says what stamps of equities mean where a page does not show
    it; ``datatype`` is the form that bars are asked for in, either is understood.
    """

    name: Final = declarations.NAME
    hosts: Final = declarations.HOSTS
    lifecycle: Final[Lifecycle] = declarations.LIFECYCLE
    plans: Final[Mapping[str, Budget]] = declarations.PLANS
    default_plan: Final = declarations.DEFAULT_PLAN
    endpoints: Final = declarations.ENDPOINTS
    capabilities: Final[Sequence[Capability]] = declarations.CAPABILITIES
    feed_delay_seconds: Final[float | None] = None
    """Without an ``entitlement`` the vendor does not say."""
    needs_key: Final = True
    streaming: Streaming | None = None
    quoting: Final[Quoting | None] = AlphaVantageQuoting()
    trade_history: TradeHistory | None = None
    batching: BarBatching | None = None
    symbol_search: SymbolSearch | None = None
    secret_parameters: Final = declarations.SECRET_PARAMETERS

    def __init__(
        self,
        *,
        intraday_label: IntradayLabel = "start",
        datatype: Datatype = "json",
    ) -> None:
        self._intraday_label: Final[IntradayLabel] = intraday_label
        self._datatype: Final[Datatype] = datatype

    def spelling(self, instrument: Instrument) -> str | None:
        """Return the vendor's own symbol, or None if it cannot mean the instrument."""
        return symbols.spelling(instrument)

    def names_unit(self, instrument: Instrument) -> bool:
        """Tell that no reply names a unit: it is known for pairs and US listings."""
        return bool(symbols.currency(instrument))

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Return the requests whose pages together cover the span."""
        return requests.bar_requests(ask, self._datatype)

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Read one page of bars; raises only ``ProviderError``."""
        return bars.read_bars(response, ask, self._intraday_label)

    def action_requests(
        self,
        instrument: Instrument,
        adjustments: frozenset[Adjustment],
        now_ns: int,  # noqa: ARG002 - the vendor always tells the whole history
    ) -> Sequence[HttpRequest]:
        """Return the requests that tell all corporate actions; empty if none can."""
        return requests.action_requests(instrument, adjustments)

    def read_actions(
        self, responses: Sequence[HttpResponse], instrument: Instrument
    ) -> CorporateActions:
        """Read the answers to ``action_requests``, in their order."""
        return actions.read_actions(responses, instrument)

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add the key, as the last parameter."""
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
        return recordings.identity(url)

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Return the time that a recorded body of bars covers; None if it has none."""
        return recordings.body_span(url, body, self._intraday_label)

    def told_at_ns(self, body: bytes) -> int | None:
        """Return when the vendor says that it refreshed the page."""
        return bars.refreshed_ns(body)
