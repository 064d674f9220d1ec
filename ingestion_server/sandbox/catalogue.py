"""From a vendor's spelling of a symbol to the instrument of the market."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ingestion_server.sandbox import listings
from ingestion_server.sandbox.instrument import Instrument, Kind, Split, Venue, Walk
from ingestion_server.sandbox.seeding import fraction

SYNTHETIC: Final = re.compile(r"SBX\d{4}")
"""SBX0001 … SBX9999 exist for load tests; everything else must be listed."""

_LONDON_FX: Final = ("CCY", "CCY", "24/5", "Europe/London")
_COINS: Final = ("CCC", "CCC", "24/7", "UTC")
_ROWS: Final = (
    listings.US_STOCKS
    | listings.US_FUNDS
    | listings.ABROAD
    | listings.INDICES
    | listings.FUTURES
)
_ALPHA_VANTAGE_SUFFIX: Final = {".LON": ".L", ".DEX": ".DE"}
_BASE_VOLUME: Final = {Kind.ETF: 6e7, Kind.INDEX: 3e9, Kind.FUTURE: 2e5}
_YAHOO_PAIR: Final = re.compile(r"([A-Z]{3})([A-Z]{3})?=X")
_FINNHUB_PAIR: Final = re.compile(r"OANDA:([A-Z]{3})_([A-Z]{3})")
_FINNHUB_COIN: Final = re.compile(
    r"(?:BINANCE:([A-Z]{3,5}?)|COINBASE:([A-Z]{3,5})-)(USDT|USD|EUR)"
)
_YAHOO_COIN: Final = re.compile(r"([A-Z]{3,5})-([A-Z]{3})")


def for_yahoo(symbol: str) -> Instrument | None:
    """Find an instrument by Yahoo's spelling, for example ``BRK-B`` or ``JPY=X``."""
    if match := _YAHOO_PAIR.fullmatch(symbol):
        first, second = match.groups()
        return currency_pair(first, second) if second else currency_pair("USD", first)
    if (match := _YAHOO_COIN.fullmatch(symbol)) and match[1] in listings.COINS:
        return coin_pair(match[1], match[2])
    if "." in symbol and symbol not in listings.ABROAD:
        return None
    return stock("BRK.B" if symbol == "BRK-B" else symbol)


def for_alpha_vantage(symbol: str) -> Instrument | None:
    """Find a stock by Alpha Vantage's spelling: ``IBM``, ``BRK.B``, ``OCDO.LON``."""
    if symbol == "BRK-B":
        return stock("BRK.B")
    stem, dot, suffix = symbol.rpartition(".")
    if dot + suffix in _ALPHA_VANTAGE_SUFFIX:
        return stock(stem + _ALPHA_VANTAGE_SUFFIX[dot + suffix])
    # Indices, futures and Yahoo's own suffixes do not exist there.
    if symbol in listings.ABROAD or symbol in listings.INDICES or "=" in symbol:
        return None
    return stock(symbol)


def for_finnhub(symbol: str) -> Instrument | None:
    """Find an instrument by Finnhub's spelling, for example ``BINANCE:BTCUSDT``."""
    if match := _FINNHUB_PAIR.fullmatch(symbol):
        return currency_pair(match[1], match[2])
    if match := _FINNHUB_COIN.fullmatch(symbol):
        return coin_pair(match[1] or match[2], match[3].removesuffix("T"))
    # Futures do not exist there.
    return None if "=" in symbol else stock(symbol)


def listed_as(symbol: str) -> Instrument | None:
    """Find an instrument by the market's spelling: ``BRK.B``, ``EUR/USD``."""
    first, slash, second = symbol.partition("/")
    if not slash:
        return stock(symbol)
    return coin_pair(first, second) or currency_pair(first, second)


def stocks_matching(keywords: str) -> list[Instrument]:
    """Return the listed US stocks and funds whose symbol or name has the words."""
    wanted = keywords.upper()
    return [
        found
        for symbol in listings.US_STOCKS | listings.US_FUNDS
        if (found := stock(symbol))
        and (wanted in symbol or wanted in found.name.upper())
    ]


@lru_cache(maxsize=4096)
def stock(symbol: str) -> Instrument | None:
    """Return a listed stock, fund, index or future by the market's spelling."""
    if symbol in _ROWS:
        return _listed(symbol)
    if SYNTHETIC.fullmatch(symbol) and symbol != "SBX0000":
        return _synthetic(symbol)
    return None


@lru_cache(maxsize=512)
def currency_pair(base: str, quote: str) -> Instrument | None:
    """Return a pair of two different listed currencies."""
    if base == quote or not {base, quote} <= listings.CURRENCIES.keys():
        return None
    code, name, calendar, zone = _LONDON_FX
    return Instrument(
        symbol=f"{base}/{quote}",
        name=f"{base}/{quote}",
        kind=Kind.CURRENCY,
        venue=Venue(code, name, calendar, zone, quote),
        walk=_currency_walk(base),
        against=_currency_walk(quote),
        listed=listings.FX_FIRST_DAY,
        decimals=3 if quote == "JPY" else 5,
        volume=0.0,
    )


@lru_cache(maxsize=64)
def coin_pair(coin: str, quote: str) -> Instrument | None:
    """Return a listed coin in US dollars or euros."""
    if coin not in listings.COINS or quote not in listings.COIN_MARKETS:
        return None
    full_name, level, decimals, volume = listings.COINS[coin]
    code, name, calendar, zone = _COINS
    return Instrument(
        symbol=f"{coin}/{quote}",
        name=f"{full_name} {quote}",
        kind=Kind.CRYPTOCURRENCY,
        venue=Venue(code, name, calendar, zone, quote),
        walk=Walk(coin, level, 0.35, 0.03),
        against=_currency_walk(quote),
        listed=listings.CRYPTO_FIRST_DAY,
        decimals=decimals,
        volume=volume,
    )


def _listed(symbol: str) -> Instrument:
    name, venue, level, growth, dividend_yield = _ROWS[symbol]
    kind = listings.kind_of(symbol)
    return Instrument(
        symbol=symbol,
        name=name,
        kind=kind,
        venue=venue,
        walk=Walk(symbol, level, growth, 0.008 if kind is Kind.INDEX else 0.013),
        against=None,
        listed=listings.LISTED_SINCE.get(symbol, listings.FIRST_DAY),
        decimals=1 if symbol in {"OCDO.L", "7203.T"} else 2,
        volume=_BASE_VOLUME.get(kind, 1e7),
        splits=listings.SPLITS.get(symbol, ()),
        dividend_yield=dividend_yield,
        dividends_since=listings.DIVIDENDS_SINCE.get(symbol, listings.FIRST_DAY),
    )


def _synthetic(symbol: str) -> Instrument:
    # The listing itself is the same for every seed; only the prices differ.
    number = int(symbol[3:])
    return Instrument(
        symbol=symbol,
        name=f"Sandbox Company {number}",
        kind=Kind.EQUITY,
        venue=listings.NASDAQ if number % 2 else listings.NYSE,
        walk=Walk(symbol, 20.0 + 200.0 * fraction(symbol), 0.05, 0.012),
        against=None,
        listed=listings.FIRST_DAY,
        decimals=2,
        volume=2e6,
        splits=(Split("2019-06-03", 2),) if number % 10 == 0 else (),
        dividend_yield=0.02 if number % 4 == 0 else 0.0,
    )


def _currency_walk(code: str) -> Walk:
    return Walk(code, listings.CURRENCIES[code][1], 0.0, 0.0 if code == "USD" else 4e-3)
