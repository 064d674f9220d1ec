"""SPLITS, DIVIDENDS, GLOBAL_QUOTE and SYMBOL_SEARCH."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ingestion_server.sandbox.alpha_vantage import table as tables
from ingestion_server.sandbox.days import DAY_NS, date_texts, zone_offset_s
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind

QUOTE_CSV: Final = [
    "symbol",
    "open",
    "high",
    "low",
    "price",
    "volume",
    "latestDay",
    "previousClose",
    "change",
    "changePercent",
]
SEARCH_CSV: Final = [
    "symbol",
    "name",
    "type",
    "region",
    "marketOpen",
    "marketClose",
    "timezone",
    "currency",
    "matchScore",
]
_MATCHES: Final = 10
_AMOUNT_DECIMALS: Final = 4


def quote_document(history: History, symbol: str, now_ns: int) -> dict[str, str]:
    """Return today's bar so far, or the last one; there is no time of quote."""
    days = history.days(now_ns)
    if not len(days):
        return {}
    today, before = days.at(slice(-1, None)), days.close[-2:][0]
    price = float(today.close[0])
    change = price - float(before)
    return {
        "01. symbol": symbol,
        "02. open": f"{today.open[0]:.4f}",
        "03. high": f"{today.high[0]:.4f}",
        "04. low": f"{today.low[0]:.4f}",
        "05. price": f"{price:.4f}",
        "06. volume": str(today.volume[0]),
        "07. latest trading day": date_texts(today.label_ns)[0],
        "08. previous close": f"{before:.4f}",
        "09. change": f"{change:.4f}",
        "10. change percent": f"{100 * change / float(before):.4f}%",
    }


def match_documents(
    found: Sequence[Instrument], keywords: str, now_ns: int
) -> list[dict[str, str]]:
    """Return the matches of a search, the best first."""
    scored = sorted(
        ((_score(instrument, keywords), instrument.symbol, instrument))
        for instrument in found
    )
    hours = zone_offset_s(now_ns, "America/New_York") // 3600
    return [
        {
            "1. symbol": symbol,
            "2. name": instrument.name,
            "3. type": "ETF" if instrument.kind is Kind.ETF else "Equity",
            "4. region": "United States",
            "5. marketOpen": "09:30",
            "6. marketClose": "16:00",
            "7. timezone": f"UTC{hours:+03d}",
            "8. currency": instrument.venue.currency,
            "9. matchScore": f"{-score:.4f}",
        }
        for score, symbol, instrument in scored[:_MATCHES]
    ]


def _score(instrument: Instrument, keywords: str) -> float:
    # Negative, so that sorting puts the best first and then goes by symbol.
    if instrument.symbol == keywords.upper():
        return -1.0
    longest = min(len(instrument.symbol), len(instrument.name))
    return -min(0.9, len(keywords) / max(longest, len(keywords) + 1))


def event_documents(history: History, what: str, now_ns: int) -> list[dict[str, str]]:
    """Return the rows of SPLITS or DIVIDENDS, newest first."""
    if what == "SPLITS":
        rows = [
            {
                "effective_date": date_texts(np.array([label]))[0],
                "split_factor": f"{ratio:.4f}",
            }
            for label, ratio in history.splits(now_ns)
        ]
        return rows[::-1]
    paid = history.dividends(now_ns)
    dates = {
        "ex_dividend_date": 0,
        "declaration_date": -21,
        "record_date": 1,
        "payment_date": 10,
    }
    columns = {
        name: date_texts(paid.label_ns + shift * DAY_NS)
        for name, shift in dates.items()
    }
    columns["amount"] = tables.fixed(paid.amount, _AMOUNT_DECIMALS)
    texts = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in texts][::-1]
