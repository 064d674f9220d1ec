"""
The recorded bodies, read by nobody but ``json``, ``numpy`` and ``zoneinfo``.

Nothing of the server is used here, so that what it says can be held against what the
vendor sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

RECORDINGS: Final = Path(__file__).parents[3] / "shared" / "recordings"
ABSENT: Final = f"the shared recordings are not beside the project: {RECORDINGS}"

COLUMNS: Final = ("open", "high", "low", "close", "volume")
NO_BARS: Final = {
    "alphavantage/digital_currency_2018.json": "prices every 5 minutes, no bars",
    "alphavantage/technical_indicator.json": "an average, no bars",
    "yahoo/v8_error_404_delisted.json": "a 404 in the form of a chart",
    "yahoo/yfinance_AET-L-1d-100x-error-fixed.csv": "a table of yfinance, no body",
    "yahoo/yfinance_AET-L-1d-100x-error.csv": "a table of yfinance, no body",
    "yahoo/yfinance_ALPHA-PA-1d-bad-stock-split-fixed.csv": "a table of yfinance",
    "yahoo/yfinance_ALPHA-PA-1d-bad-stock-split.csv": "a table of yfinance, no body",
}
"""Recordings that look like bars and are none; no other may be left out."""
CLOSE_ONLY: Final = "yahoo/pp_MUV2.DE_historical01.json"
"""The one chart that was stripped of its other columns by who recorded it."""
END_LABELLED: Final = "alphavantage/time_series_intraday_AAPL_15min_compact.json"
"""Stamps of this page are the ends of its bars: it has one at 20:00:00."""

_INTERVALS: Final = {
    "1m": ("INTERVAL_1_MINUTE", timedelta(minutes=1)),
    "1min": ("INTERVAL_1_MINUTE", timedelta(minutes=1)),
    "15min": ("INTERVAL_15_MINUTES", timedelta(minutes=15)),
    "1h": ("INTERVAL_1_HOUR", timedelta(hours=1)),
    "1d": ("INTERVAL_1_DAY", timedelta(days=1)),
    "1wk": ("INTERVAL_1_WEEK", timedelta(weeks=1)),
}
_EXCHANGES: Final = {
    "NMS": "XNAS",
    "NGM": "XNAS",
    "NYQ": "XNYS",
    "PCX": "ARCX",
    "OSL": "XOSL",
    "LSE": "XLON",
    "JKT": "XIDX",
    "GER": "XETR",
}
"""Market identifier codes, by Yahoo's names of exchanges."""
_INTRADAY: Final = frozenset({"1m", "1min", "15min", "1h"})

Bar = dict[str, float | None]
"""The columns of a bar; None for what the vendor does not tell."""


@dataclass(frozen=True)
class Body:
    """Hold a recorded page of bars and the question that it answers."""

    name: str
    provider: str
    symbol: str
    interval: str
    bars: Mapping[datetime, Bar]
    """What the vendor sent, by when each bar begins."""
    empty: Collection[datetime] = ()
    """When bars would begin of which the vendor sent nothing but nulls."""
    adjustment: str = "ADJUSTMENT_SPLIT"
    session: str = "SESSION_REGULAR"
    exchange: str = ""
    asset_class: str = "ASSET_CLASS_UNSPECIFIED"
    currency: str = ""
    recorded: datetime | None = None

    @property
    def start(self) -> datetime:
        """Return when the first bar begins."""
        return min(self.bars)

    @property
    def end(self) -> datetime:
        """Return when the last bar is over."""
        return max(self.bars) + _INTERVALS[self.interval][1]

    @property
    def absent(self) -> list[str]:
        """Return the columns that no bar has."""
        return [
            column
            for column in COLUMNS
            if all(bar[column] is None for bar in self.bars.values())
        ]

    @property
    def served_as(self) -> str:
        """Return the adjustment of the answer: pairs and the like have none."""
        return self.adjustment if self.exchange else "ADJUSTMENT_RAW"

    @property
    def holes(self) -> list[tuple[str, str]]:
        """Return the stretches that the vendor left empty."""
        length = _INTERVALS[self.interval][1]
        return [(iso(label), iso(label + length)) for label in sorted(self.empty)]

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return the question, as JSON."""
        asked = {
            "symbol": self.symbol,
            "exchange": self.exchange,
            "asset_class": self.asset_class,
            "interval": _INTERVALS[self.interval][0],
            "start": iso(self.start),
            "end": iso(self.end),
            "adjustment": self.adjustment,
            "session": self.session,
            "source_policy": {"mode": "MODE_PINNED", "providers": [self.provider]},
        }
        return asked | changes


def iso(moment: datetime) -> str:
    """Return a time as JSON writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def looking_like_bars() -> list[str]:
    """Return the name of each file of both vendors that could hold bars."""
    return [
        path.relative_to(RECORDINGS).as_posix()
        for vendor in ("alphavantage", "yahoo")
        for path in sorted((RECORDINGS / vendor).glob("*"))
        if not path.name.endswith(".meta.json") and _could_hold_bars(path)
    ]


def _could_hold_bars(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        head = text.partition("\n")[0].lower()
        return "close" in head and "," in head
    if not isinstance(content, dict):
        return False
    return any(
        name == "chart" or "series" in name.lower() or "technical" in name.lower()
        for name in content
    )


def body(name: str) -> Body:
    """Read a recorded page of bars."""
    path = RECORDINGS / name
    content = json.loads(path.read_text(encoding="utf-8"))
    told = path.with_name(path.name + ".meta.json")
    recorded = None
    if told.exists():
        recorded = parsedate_to_datetime(json.loads(told.read_text())["recorded"])
    if "chart" in content:
        return _chart(name, content["chart"]["result"][0], recorded)
    return _series(name, content, recorded)


def _chart(name: str, result: dict[str, Any], recorded: datetime | None) -> Body:
    meta = result["meta"]
    interval = meta["dataGranularity"]
    asked: dict[str, Any] = {}
    plain = meta["symbol"].partition(".")[0]
    match meta["instrumentType"]:
        case "CRYPTOCURRENCY":
            asked["symbol"] = plain.replace("-", "/")
        case "FUTURE":
            asked["symbol"] = plain.removesuffix("=F")
            asked["asset_class"] = "ASSET_CLASS_FUTURE"
        case "INDEX":
            asked["symbol"] = plain
        case _:
            asked["symbol"] = plain
            asked["exchange"] = _EXCHANGES[meta["exchangeName"]]
    rows = dict(_rows(result, interval))
    empty = {label for label, row in rows.items() if not any(row.values())}
    return Body(
        name,
        "yahoo",
        interval=interval,
        bars={label: row for label, row in rows.items() if label not in empty},
        empty=empty,
        currency=meta["currency"],
        recorded=recorded,
        **asked,
    )


def _rows(result: dict[str, Any], interval: str) -> Iterator[tuple[datetime, Bar]]:
    meta, quote = result["meta"], result["indicators"]["quote"][0]
    zone = ZoneInfo(meta["exchangeTimezoneName"])
    closes = {
        period["end"]
        for day in meta.get("tradingPeriods", [])
        for period in (day if isinstance(day, list) else [])
    }
    columns = [quote.get(column, ()) for column in COLUMNS]
    for place, stamp in enumerate(result["timestamp"]):
        values = [column[place] if column else None for column in columns]
        moment = datetime.fromtimestamp(stamp, tz=UTC)
        if interval in _INTRADAY:
            if stamp in closes and not values[-1]:
                # The state of the market after its close: no bar begins then.
                continue
            label = moment
        else:
            label = _midnight(moment.astimezone(zone).date())
        prices = [None if value is None else _sent(value) for value in values[:-1]]
        yield label, dict(zip(COLUMNS, [*prices, values[-1]], strict=True))


def _sent(value: float) -> float:
    """Return the decimal that a widened float32 stands for."""
    narrow = np.float32(value)
    return float(str(narrow)) if float(narrow) == value else value


def _series(name: str, content: dict[str, Any], recorded: datetime | None) -> Body:
    meta = {key.split(" ", 1)[1]: value for key, value in content["Meta Data"].items()}
    rows = next(value for key, value in content.items() if key != "Meta Data")
    interval = meta.get("Interval", "1d")
    bars = {}
    for stamp, row in rows.items():
        told = {key.partition(" ")[2]: float(value) for key, value in row.items()}
        moment = _moment(stamp, meta["Time Zone"])
        if name == END_LABELLED:
            moment -= _INTERVALS[interval][1]
        bars[moment] = {column: told.get(column) for column in COLUMNS}
    asked: dict[str, Any] = {"adjustment": "ADJUSTMENT_RAW", "currency": "USD"}
    if "From Symbol" in meta:
        asked["symbol"] = f"{meta['From Symbol']}/{meta['To Symbol']}"
        asked["currency"] = meta["To Symbol"]
    else:
        asked["symbol"] = meta["Symbol"]
        asked["exchange"] = "XNYS" if meta["Symbol"] == "IBM" else "XNAS"
    if interval in _INTRADAY:
        asked["adjustment"] = "ADJUSTMENT_SPLIT_DIVIDEND"
        asked["session"] = "SESSION_EXTENDED"
    return Body(
        name,
        "alpha_vantage",
        interval=interval,
        bars=bars,
        recorded=recorded,
        **asked,
    )


def _moment(stamp: str, zone: str) -> datetime:
    if len(stamp) == len("2021-08-18"):
        return _midnight(date.fromisoformat(stamp))
    naive = datetime.fromisoformat(stamp)
    return naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
