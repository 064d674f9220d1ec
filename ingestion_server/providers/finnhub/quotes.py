"""The latest trade, from ``/quote``: ``{c, d, dp, h, l, o, pc, t}`` [R]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Snapshot, Trade
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.finnhub.declarations import API_URL, NAME, QUOTE
from ingestion_server.providers.finnhub.payloads import (
    FARTHEST_SECONDS,
    decoded,
    malformed,
    said_nothing,
)
from ingestion_server.providers.finnhub.symbols import currency, feature, spelled


class _Quote(msgspec.Struct):
    c: float | None = None
    pc: float | None = None
    t: int | None = None


_decoder: Final = msgspec.json.Decoder(_Quote)


@final
class FinnhubQuoting:
    """Tell the latest trade of one listing at a time."""

    asset_classes: frozenset[AssetClass] = frozenset({AssetClass.EQUITY})
    day_only: frozenset[AssetClass] = frozenset()
    most_symbols: int = 1

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """
        Return the request about one instrument.

        Raises:
            CapabilityMissingError: The vendor has no symbol for it.

        """
        (instrument,) = instruments
        return HttpRequest(
            NAME,
            API_URL + QUOTE,
            (("symbol", spelled(instrument)),),
            feature=feature(QUOTE, instrument),
        )

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """
        Read the answer: the latest trade, without its size, and the close before.

        Raises:
            NoDataUnexplainedError: It is an empty object.
            MalformedPayloadError: It is no quote.

        """
        (instrument,) = instruments
        quote = decoded(_decoder, response.body, "a quote")
        if quote == _Quote():
            raise said_nothing("a quote")
        if not quote.c and not quote.t and not quote.pc:
            # Of a symbol that it does not know all is nothing [M].
            return {
                instrument: SymbolUnknownError(
                    f"{NAME} does not know {spelled(instrument)}",
                    provider=NAME,
                    symbol=instrument.symbol,
                )
            }
        return {instrument: _snapshot(quote, instrument)}


def told_at_ns(body: bytes) -> int | None:
    """Return when the latest trade took place; None if the body is no quote."""
    try:
        quote = decoded(_decoder, body, "a quote")
    except MalformedPayloadError:
        return None
    if not quote.t or not 0 < quote.t < FARTHEST_SECONDS:
        return None
    return quote.t * SECOND_NS


def _snapshot(quote: _Quote, instrument: Instrument) -> Snapshot:
    if quote.c is None or quote.c <= 0:
        raise malformed("a quote without a price")
    if quote.t is None or not 0 < quote.t < FARTHEST_SECONDS:
        raise malformed("a quote without a time")
    return Snapshot(
        trade=Trade(instrument.symbol, quote.t * SECOND_NS, quote.c),
        currency=currency(instrument),
        previous_close=quote.pc if quote.pc and quote.pc > 0 else None,
        # Of US listings the vendor says "real-time" [D], of others nothing.
        feed_delay_seconds=0.0 if instrument.exchange in US_VENUES else None,
    )
