"""
Small recordings of our own making, in the vendors' documented formats.

Nothing of them is a vendor's; they make any test possible where the shared ones are
not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

CHART: Final = "finance.yahoo.com/v8/finance/chart"
QUERY: Final = "https://www.alphavantage.co/query"
APRIL: Final = "Mon, 01 Apr 2024 12:00:00 GMT"
FIRST_WEEK: Final = [date(2024, 3, day) for day in (4, 5, 6, 7, 8)]
SECOND_WEEK: Final = [date(2024, 3, day) for day in (11, 12, 13, 14, 15)]


def keep_chart(  # noqa: PLR0913 - a recording has that many particulars
    folder: Path,
    name: str,
    days: Iterable[date],
    close: float,
    *,
    host: str = "query2",
    recorded: str = APRIL,
    asked: str = "interval=1d",
) -> None:
    """Write a chart of AAPL by Yahoo, all days with the same prices."""
    stamps = [datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC) for d in days]
    column = [close] * len(stamps)
    prices = dict.fromkeys(("open", "high", "low", "close"), column)
    chart = {
        "meta": {
            "symbol": "AAPL",
            "currency": "USD",
            "exchangeTimezoneName": "America/New_York",
            "dataGranularity": "1d",
        },
        "timestamp": [int(stamp.timestamp()) for stamp in stamps],
        "indicators": {"quote": [prices | {"volume": [100] * len(stamps)}]},
    }
    body = {"chart": {"result": [chart], "error": None}}
    _keep(folder / name, body, f"https://{host}.{CHART}/AAPL?{asked}", recorded)


def keep_days(
    folder: Path,
    name: str,
    days: Iterable[date],
    close: float,
    *,
    recorded: str = APRIL,
    refreshed: str | None = None,
) -> None:
    """Write raw days of AAPL by Alpha Vantage, all with the same prices."""
    row = {f"{place}. {column}": f"{close:.4f}" for place, column in _COLUMNS}
    meta = {"2. Symbol": "AAPL", "5. Time Zone": "US/Eastern"}
    if refreshed is not None:
        meta["3. Last Refreshed"] = refreshed
    body = {
        "Meta Data": meta,
        "Time Series (Daily)": {
            day.isoformat(): row | {"5. volume": "100"}
            for day in sorted(days, reverse=True)
        },
    }
    url = f"{QUERY}?function=TIME_SERIES_DAILY&symbol=AAPL&apikey=***"
    _keep(folder / name, body, url, recorded)


_COLUMNS: Final = tuple(enumerate(("open", "high", "low", "close"), start=1))


def _keep(stem: Path, body: object, url: str, recorded: str) -> None:
    meta = {
        "headers": {"content-type": "application/json"},
        "recorded": recorded,
        "status": 200,
        "url": url,
    }
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(body))
    stem.with_name(f"{stem.name}.json.meta.json").write_text(json.dumps(meta))
