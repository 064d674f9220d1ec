"""What is listed, and its splits and dividends."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.sandbox import catalogue, listings
from ingestion_server.sandbox.days import DAY_NS, date_texts
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind, Venue
from ingestion_server.sandbox.seeding import token

_TYPES: Final = {Kind.EQUITY: "Common Stock", Kind.ETF: "ETP"}
_EXCHANGES: Final = {"XNYS": "US", "XLON": "L", "XETR": "DE", "XTKS": "T"}
_MICS: Final = {"NMS": "XNAS", "NYQ": "XNYS", "PCX": "ARCX"} | {
    "LSE": "XLON",
    "GER": "XETR",
    "JPX": "XTKS",
}
_DAYS_TO: Final = {"declarationDate": -21, "recordDate": 1, "payDate": 10}


def search_document(words: str, exchange: str) -> dict[str, object]:
    """Return the listed shares and funds whose symbol or name has the words."""
    wanted = words.upper()
    result = [
        {
            "description": found.name.upper(),
            "displaySymbol": found.symbol,
            "symbol": found.symbol,
            "type": _TYPES[found.kind],
        }
        for found in _listed()
        if exchange in ("", _exchange(found))
        and (wanted in found.symbol or wanted in found.name.upper())
    ]
    # What is spelt exactly so comes first.
    result.sort(key=lambda row: row["symbol"] != wanted)
    return {"count": len(result), "result": result}


def symbol_documents(
    exchange: str, mic: str, security_type: str, currency: str
) -> list[dict[str, object]]:
    """Return what an exchange lists; an empty wish is no wish."""
    return [
        document
        for found in _listed()
        if _exchange(found) == exchange
        for document in (_symbol_document(found),)
        if mic in ("", document["mic"])
        and security_type in ("", document["type"])
        and currency in ("", document["currency"])
    ]


def split_documents(
    history: History, symbol: str, first_ns: int, last_ns: int, now_ns: int
) -> list[dict[str, object]]:
    """Return the splits from one date to another, both included, newest first."""
    return [
        {"date": _date(label), "fromFactor": 1, "symbol": symbol, "toFactor": ratio}
        for label, ratio in history.splits(now_ns)[::-1]
        if first_ns <= label <= last_ns
    ]


def dividend_documents(
    history: History, symbol: str, first_ns: int, last_ns: int, now_ns: int
) -> list[dict[str, object]]:
    """Return the dividends from one ex-date to another, newest first."""
    paid = history.dividends(now_ns)
    factor = history.split_factor(paid.label_ns, now_ns)
    rows = zip(
        paid.label_ns.tolist(), paid.amount.tolist(), factor.tolist(), strict=True
    )
    return [
        {
            "adjustedAmount": round(amount / shares, 6),
            "amount": amount,
            "currency": history.instrument.venue.currency,
            "date": _date(label),
            "freq": "4",
            "symbol": symbol,
        }
        | {name: _date(label + days * DAY_NS) for name, days in _DAYS_TO.items()}
        for label, amount, shares in rows
        if first_ns <= label <= last_ns
    ][::-1]


def _exchange(instrument: Instrument) -> str:
    return _EXCHANGES[instrument.venue.calendar]


def _listed() -> list[Instrument]:
    symbols = listings.US_STOCKS | listings.US_FUNDS | listings.ABROAD
    return [found for symbol in symbols if (found := catalogue.stock(symbol))]


def _symbol_document(instrument: Instrument) -> dict[str, object]:
    venue: Venue = instrument.venue
    return {
        "currency": venue.currency,
        "description": instrument.name.upper(),
        "displaySymbol": instrument.symbol,
        "figi": f"BBG{token(9, 'figi', instrument.symbol).upper()}",
        "isin": None,
        "mic": _MICS[venue.code],
        "symbol": instrument.symbol,
        "type": _TYPES[instrument.kind],
    }


def _date(label_ns: int) -> str:
    return date_texts(np.array([label_ns], dtype=np.int64))[0]
