"""What of a vendor's quote can be true, and what is left out."""

from __future__ import annotations

from math import isfinite
from typing import Final

import msgspec

from ingestion_server.domain.errors import NoDataUnexplainedError, ProviderError
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade

_AHEAD_NS: Final = 5 * MINUTE_NS
"""Clocks differ; what is further ahead of ours than this has no time to believe."""


def checked(
    snapshot: Snapshot, *, symbol: str, provider: str, received_at_ns: int
) -> Snapshot | ProviderError:
    """
    Return what of a snapshot can be true, signed by who told it, and when.

    A price must be finite and above zero, and no bid above its ask; a size must not be
    negative. What is not so is left out; if nothing is left, that is an error.
    """
    trade, quote = _trade(snapshot.trade), _quote(snapshot.quote)
    if trade is None and quote is None:
        return NoDataUnexplainedError(
            f"{provider} told neither a price nor a quote of {symbol} that can be true",
            provider=provider,
        )
    for tick in (trade, quote):
        if tick is not None:
            tick.provider, tick.received_at_ns = provider, received_at_ns
            if tick.time_ns > received_at_ns + _AHEAD_NS:
                tick.marks |= TickMark.TIME_DOUBTFUL
    return msgspec.structs.replace(
        snapshot,
        trade=trade,
        quote=quote,
        previous_close=_price(snapshot.previous_close),
    )


def _trade(trade: Trade | None) -> Trade | None:
    if trade is None or _price(trade.price) is None:
        return None
    trade.size = _size(trade.size)
    return trade


def _quote(quote: Quote | None) -> Quote | None:
    if quote is None:
        return None
    quote.bid, quote.ask = _price(quote.bid), _price(quote.ask)
    both = quote.bid is not None and quote.ask is not None
    neither = quote.bid is None and quote.ask is None
    if neither or (both and quote.bid > quote.ask):  # type: ignore[operator] # both are there
        return None
    # A size says nothing without its price.
    quote.bid_size = None if quote.bid is None else _size(quote.bid_size)
    quote.ask_size = None if quote.ask is None else _size(quote.ask_size)
    return quote


def _price(price: float | None) -> float | None:
    return price if price is not None and isfinite(price) and price > 0 else None


def _size(size: float | None) -> float | None:
    return size if size is not None and isfinite(size) and size >= 0 else None
