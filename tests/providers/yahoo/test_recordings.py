"""Every recorded number and time is the vendor's own."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.providers.yahoo.symbols import instrument_of
from tests.providers.yahoo.charts import PRICES

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"
FOLDER = RECORDINGS / "yahoo"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings are not beside this checkout"
)
INTERVALS = {"1m": Interval.MINUTE_1, "1h": Interval.HOUR_1, "1d": Interval.DAY_1}
INTERVALS["1wk"] = Interval.WEEK_1
DROPPED = {
    "v8_chart_CRM_1h.json": "21:00:00",
    "v8_chart_TSLA_1m_nulls.json": "20:00:00",
}
"""Files that end in a live row at the close with volume 0, and its time in UTC."""
NOT_FLOAT32 = "pp_MUV2.DE_historical01.json"
"""Doubles of two digits; and it has closes only."""
NULL_ROWS = {"v8_chart_TSLA_1m_nulls.json"}


def charts() -> list[str]:
    """Name the files that hold a chart."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        body = path.read_bytes() if ".meta." not in path.name else b""
        if b'"chart"' in body[:40] and json.loads(body)["chart"]["result"]:
            found.append(path.name)
    return found


def recorded(name: str) -> tuple[dict[str, Any], BarAsk, HttpResponse]:
    """Read a file by the standard library, and the question it answers."""
    body = (FOLDER / name).read_bytes()
    result = json.loads(body)["chart"]["result"][0]
    asked = BarAsk(
        instrument_of(result["meta"]["symbol"]),
        INTERVALS[result["meta"]["dataGranularity"]],
        Adjustment.SPLIT,
        Span(0, 1),
        0,
    )
    return result, asked, HttpResponse(200, body)


def day_of(stamp: int, zone: str) -> date:
    """Return the exchange's own date."""
    return datetime.fromtimestamp(stamp, UTC).astimezone(ZoneInfo(zone)).date()


def label(stamp: int, interval: Interval, zone: str) -> int:
    """Return the label that a stamp should get, by the standard library."""
    if interval.intraday:
        return stamp * 10**9
    day = day_of(stamp, zone)
    if interval is Interval.WEEK_1:
        day -= timedelta(days=day.weekday())
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9


def test_all_recorded_charts_are_tested() -> None:
    assert len(charts()) == 27


@pytest.mark.parametrize("name", charts() if FOLDER.is_dir() else [])
def test_every_number_and_every_time_is_the_vendors(name: str) -> None:
    result, asked, response = recorded(name)
    zone = result["meta"]["exchangeTimezoneName"]
    quote = result["indicators"]["quote"][0]
    stamps = result["timestamp"]
    kept = len(stamps) - (name in DROPPED)

    Yahoo().check(HttpRequest("yahoo", ""), response)
    page = Yahoo().read_bars(response, asked)

    series = page.series
    assert len(series) == kept
    assert series.open_time_ns.tolist() == [
        label(stamp, asked.interval, zone) for stamp in stamps[:kept]
    ]
    for column in PRICES:
        ours = getattr(series, column)
        if column not in quote:
            assert name == NOT_FLOAT32
            assert np.isnan(ours).all()
            continue
        for value, theirs in zip(ours.tolist(), quote[column], strict=False):
            if theirs is None:
                assert np.isnan(value)
            elif name == NOT_FLOAT32:
                assert value == theirs
            else:
                assert float(np.float32(value)) == theirs
                assert value == float(str(np.float32(theirs)))
    if "volume" in quote:
        assert series.volume is not None
        volume = [None if np.isnan(v) else v for v in series.volume.tolist()]
        assert volume == quote["volume"][:kept]
    else:
        assert name == NOT_FLOAT32
        assert series.volume is None
    first = page.first_trade_ns
    assert first == label(result["meta"]["firstTradeDate"], Interval.DAY_1, zone)
    assert page.currency == result["meta"]["currency"]
    assert page.flags == []


def test_only_one_recording_is_no_float32_and_lacks_columns() -> None:
    odd = set()
    for name in charts():
        quote = recorded(name)[0]["indicators"]["quote"][0]
        told = [v for column in PRICES for v in quote.get(column, ()) if v is not None]
        if not set(PRICES) <= quote.keys() or any(
            float(np.float32(value)) != value for value in told
        ):
            odd.add(name)

    assert odd == {NOT_FLOAT32}


@pytest.mark.parametrize(("name", "clock"), DROPPED.items())
def test_the_row_that_is_dropped_is_the_close_without_volume(
    name: str, clock: str
) -> None:
    result, _, _ = recorded(name)
    last = datetime.fromtimestamp(result["timestamp"][-1], UTC)

    assert last.strftime("%H:%M:%S") == clock
    assert result["indicators"]["quote"][0]["volume"][-1] == 0


@pytest.mark.parametrize("name", sorted(NULL_ROWS))
def test_null_rows_stay_unknown(name: str) -> None:
    result, asked, response = recorded(name)
    quote = result["indicators"]["quote"][0]
    nulls = [row for row, value in enumerate(quote["close"]) if value is None]

    series = Yahoo().read_bars(response, asked).series

    assert nulls
    assert np.flatnonzero(np.isnan(series.close)).tolist() == nulls
    assert series.volume is not None
    assert np.isnan(series.volume[nulls]).all()


@pytest.mark.parametrize("name", charts() if FOLDER.is_dir() else [])
def test_no_recording_is_taken_for_the_whole_history(name: str) -> None:
    result, asked, response = recorded(name)
    last = max(result["meta"]["regularMarketTime"], result["timestamp"][-1])
    late = HttpResponse(200, response.body, received_at_ns=last * 10**9)

    days = asked.interval is Interval.DAY_1
    with pytest.raises(CapabilityMissingError if days else MalformedPayloadError):
        Yahoo().read_actions([late], asked.instrument)


def test_the_recorded_404_is_an_unknown_symbol() -> None:
    body = (FOLDER / "v8_error_404_delisted.json").read_bytes()

    with pytest.raises(SymbolUnknownError, match="may be delisted"):
        Yahoo().check(HttpRequest("yahoo", ""), HttpResponse(404, body))


def test_each_recorded_chart_is_found_by_the_question_it_answers() -> None:
    with (RECORDINGS / "MANIFEST.tsv").open(encoding="utf-8") as lines:
        origins = {
            row[0].removeprefix("yahoo/"): row[2]
            for row in csv.reader(lines, delimiter="\t")
            if row[0].startswith("yahoo/")
        }
    vendor = Yahoo()

    for name in charts():
        result, asked, response = recorded(name)
        stamps = [stamp * 10**9 for stamp in result["timestamp"]]
        asked = BarAsk(
            asked.instrument,
            asked.interval,
            asked.adjustment,
            Span(stamps[0], stamps[-1] + 1),
            stamps[-1],
        )
        requests = vendor.bar_requests(asked)

        found = vendor.identity(origins[name], response.body)

        assert found is not None, name
        assert found == vendor.identity(requests[-1].full_url, b""), name
        assert vendor.body_span("", response.body) == Span(stamps[0], stamps[-1] + 1)


def test_the_recorded_consent_page_is_filled_in() -> None:
    page = (FOLDER / "nyf2_getCrumb-quote-AAPL-collectConsent.html").read_bytes()
    url = "https://consent.yahoo.com/v2/collectConsent?sessionId=x"
    vendor = Yahoo()
    greeting = vendor.greet(Credentials())

    next(greeting)
    greeting.send(HttpResponse(404, b""))
    greeting.send(HttpResponse(302, b"", {"location": url}))
    form = greeting.send(HttpResponse(200, page))

    assert form.method == "POST"
    assert form.full_url == url
    assert form.form[1][0] == "sessionId"
    assert [name for name, _ in form.form] == [
        "csrfToken",
        "sessionId",
        "originalDoneUrl",
        "namespace",
        "agree",
        "agree",
    ]
    assert dict(form.form)["originalDoneUrl"].endswith("/quote/AAPL?guccounter=1")
