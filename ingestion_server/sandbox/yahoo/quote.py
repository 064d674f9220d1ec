"""The body of ``/v7/finance/quote``, in the keys of the recordings."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.days import SECOND_NS, zone_name, zone_offset_s
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Kind
from ingestion_server.sandbox.yahoo.rows import split_adjusted
from ingestion_server.sandbox.yahoo.summary import (
    Summary,
    price_hint,
    summary_of,
    trading_periods,
    yahoo_volume,
)

_TYPES: Final = {
    Kind.EQUITY: "Equity",
    Kind.ETF: "ETF",
    Kind.INDEX: "Index",
    Kind.CURRENCY: "Currency",
    Kind.CRYPTOCURRENCY: "Cryptocurrency",
    Kind.FUTURE: "Futures",
}
_MARKETS: Final = {Kind.CURRENCY: "ccy_market", Kind.CRYPTOCURRENCY: "ccc_market"}
_LATE_TRADING_S: Final = 4 * 3600
_SHARES: Final = 1_000_000_000
_EARNINGS: Final = 6.5
"""One made-up result per share: fundamentals are not what the sandbox is for."""


def quote_document(history: History, symbol: str, now_ns: int) -> dict[str, object]:
    """Return one quote; what is no price is plausible and constant."""
    instrument = history.instrument
    days = split_adjusted(history, now_ns)
    summary = summary_of(history, days, now_ns)
    document = _identity(history, summary, now_ns) | _prices(history, summary)
    document |= _averages(summary)
    if instrument.kind is Kind.EQUITY:
        document |= _fundamentals(summary)
    if instrument.extended:
        name = instrument.name.split(",")[0].removesuffix(" Inc.")
        document |= {"displayName": name}
    late_s = summary.time_s + _LATE_TRADING_S
    if instrument.extended and late_s <= now_ns // SECOND_NS:
        document |= {
            "postMarketTime": late_s,
            "postMarketChangePercent": 0.0,
            "postMarketPrice": summary.price,
            "postMarketChange": 0.0,
        }
    if instrument.kind is Kind.CRYPTOCURRENCY:
        document |= _coin(history, summary, symbol)
    return document | {"symbol": symbol}


def _identity(history: History, summary: Summary, now_ns: int) -> dict[str, object]:
    instrument, zone = history.instrument, history.sessions.zone
    return {
        "language": "en-US",
        "region": "US",
        "quoteType": instrument.kind.value,
        "typeDisp": _TYPES[instrument.kind],
        "quoteSourceName": "Delayed Quote",
        "triggerable": True,
        "customPriceAlertConfidence": "HIGH",
        "currency": instrument.venue.currency,
        "exchange": instrument.venue.code,
        "messageBoardId": f"finmb_{instrument.symbol}",
        "exchangeTimezoneName": zone,
        "exchangeTimezoneShortName": zone_name(now_ns, zone),
        "gmtOffSetMilliseconds": zone_offset_s(now_ns, zone) * 1000,
        "market": _MARKETS.get(instrument.kind, "us_market"),
        "esgPopulated": False,
        "marketState": _market_state(history, now_ns),
        "shortName": instrument.name,
        "longName": instrument.name,
        "corporateActions": [],
        "regularMarketTime": summary.time_s,
        "hasPrePostMarketData": instrument.extended,
        "firstTradeDateMilliseconds": int(history.sessions.opens_ns[0]) // 1_000_000,
        "priceHint": price_hint(instrument),
        "fullExchangeName": instrument.venue.name,
        "sourceInterval": 15,
        "exchangeDataDelayedBy": 0,
        "tradeable": False,
        "cryptoTradeable": instrument.kind is Kind.CRYPTOCURRENCY,
    }


def _market_state(history: History, now_ns: int) -> str:
    if history.running(now_ns):
        return "REGULAR"
    early, regular, late = trading_periods(history, now_ns)
    now_s = now_ns // SECOND_NS
    if early.start_s <= now_s < regular.start_s:
        return "PRE"
    if regular.end_s <= now_s < late.end_s:
        return "POST"
    return "CLOSED"


def _prices(history: History, summary: Summary) -> dict[str, object]:
    days, price = summary.days, summary.price
    low, high = summary.rounded(days.low[-1]), summary.rounded(days.high[-1])
    change = price - summary.previous_close
    document: dict[str, object] = {
        "regularMarketChangePercent": 100 * change / summary.previous_close,
        "regularMarketPrice": price,
        "regularMarketChange": summary.rounded(change),
        "regularMarketDayHigh": high,
        "regularMarketDayRange": f"{low} - {high}",
        "regularMarketDayLow": low,
        "regularMarketVolume": yahoo_volume(history.instrument, days),
        "regularMarketPreviousClose": summary.previous_close,
        "regularMarketOpen": summary.rounded(days.open[-1]),
    }
    if history.instrument.kind is not Kind.CRYPTOCURRENCY:
        document |= {"bid": price, "ask": price, "bidSize": 1, "askSize": 1}
    return document


def _averages(summary: Summary) -> dict[str, object]:
    price = summary.price
    document: dict[str, object] = {
        "averageDailyVolume3Month": summary.average_volume(63),
        "averageDailyVolume10Day": summary.average_volume(10),
        "fiftyTwoWeekRange": f"{summary.year_low} - {summary.year_high}",
        "fiftyTwoWeekChangePercent": 0.0,
    }
    for name, value in {
        "fiftyTwoWeekLow": summary.year_low,
        "fiftyTwoWeekHigh": summary.year_high,
        "fiftyDayAverage": summary.average(50),
        "twoHundredDayAverage": summary.average(200),
    }.items():
        document[name] = value
        document[f"{name}Change"] = summary.rounded(price - value)
        document[f"{name}ChangePercent"] = (price - value) / value
    return document


def _fundamentals(summary: Summary) -> dict[str, object]:
    price, day = summary.price, summary.time_s
    return {
        "financialCurrency": "USD",
        "dividendDate": day,
        "earningsTimestamp": day,
        "earningsTimestampStart": day,
        "earningsTimestampEnd": day,
        "earningsCallTimestampStart": day,
        "earningsCallTimestampEnd": day,
        "isEarningsDateEstimate": False,
        "trailingAnnualDividendRate": 1.0,
        "trailingPE": price / _EARNINGS,
        "dividendRate": 1.0,
        "trailingAnnualDividendYield": 1 / price,
        "dividendYield": 100 / price,
        "epsTrailingTwelveMonths": _EARNINGS,
        "epsForward": _EARNINGS,
        "epsCurrentYear": _EARNINGS,
        "priceEpsCurrentYear": price / _EARNINGS,
        "sharesOutstanding": _SHARES,
        "bookValue": 4.0,
        "marketCap": round(price * _SHARES),
        "forwardPE": price / _EARNINGS,
        "priceToBook": price / 4,
        "averageAnalystRating": "2.0 - Buy",
    }


def _coin(history: History, summary: Summary, symbol: str) -> dict[str, object]:
    volume = yahoo_volume(history.instrument, summary.days)
    base, _, quote = symbol.partition("-")
    image = "https://s2.coinmarketcap.com/static/img/coins/64x64/1.png"
    return {
        "circulatingSupply": 20_000_000,
        "lastMarket": "CoinMarketCap",
        "volume24Hr": volume,
        "volumeAllCurrencies": volume,
        "fromCurrency": base,
        "toCurrency": f"{quote}=X",
        "coinMarketCapLink": "https://coinmarketcap.com/currencies/",
        "startDate": 1_278_979_200,
        "coinImageUrl": image,
        "logoUrl": image,
        "marketCap": round(summary.price * 20_000_000),
    }
