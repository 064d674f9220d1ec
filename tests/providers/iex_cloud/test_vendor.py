"""The vendor as a whole: declarations, recordings, and any bytes at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Interval
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import Provider
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.quota.faults import faults
from ingestion_server.quota.told import units
from tests.providers.iex_cloud.answers import AAPL, EURUSD, LONDON, answer, ask, day, ns

FOLDER = Path(__file__).parents[4] / "shared" / "recordings" / "iex_cloud"
RECORDED = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings are not beside this checkout"
)
CHARTS = (
    "chart_msft",
    "historical_prices_msft",
    "historical_prices_msft_5d",
    "chart_GME_ytd_2022-03",
)
URL = "https://cloud.iexapis.com/v1/stock"
PREFIXES = {
    Adjustment.SPLIT: "",
    Adjustment.RAW: "u",
    Adjustment.SPLIT_DIVIDEND: "f",
}
NAMES = ("open", "high", "low", "close", "volume")


def recorded(name: str) -> tuple[bytes, dict[str, str], str]:
    """Return body, headers and url of a recording."""
    body = FOLDER / f"{name}.json"
    told = json.loads(body.with_name(f"{body.name}.meta.json").read_bytes())
    return body.read_bytes(), told["headers"], told["url"]


def test_it_is_a_vendor_that_is_no_more() -> None:
    vendor: Provider = IexCloud()

    assert (vendor.lifecycle.stage, vendor.lifecycle.since) == ("retired", "2024-08-31")
    assert vendor.needs_key
    assert vendor.streaming is None
    assert vendor.greet(None) is None  # type: ignore[arg-type, func-returns-value]


def test_its_plans_make_sense() -> None:
    for budget in IexCloud().plans.values():
        assert list(faults(budget)) == []


def test_a_service_that_stands_in_is_the_only_other_host() -> None:
    usual, other = IexCloud().hosts, IexCloud(base_url="https://IEX.example/v1").hosts

    assert other - usual == {"iex.example"}


def test_only_us_listings_have_a_symbol_and_a_unit() -> None:
    vendor = IexCloud()

    assert vendor.spelling(instrument("brk.b")) == "BRK.B"
    assert vendor.names_unit(AAPL)
    for other in (LONDON, EURUSD, instrument("^GSPC")):
        assert vendor.spelling(other) is None
        assert not vendor.names_unit(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{URL}/MSFT/chart?token=***", f"{URL}/msft/chart/5y?chartLast=3"),
        (f"{URL}/MSFT/chart/ytd?sort=desc", f"{URL}/MSFT/chart/1m?includeToday=true"),
        (
            f"{URL}/MSFT/chart/date/20240610?chartByDay=true",
            "https://sandbox.iexapis.com/stable/stock/MSFT/chart",
        ),
        (f"{URL}/MSFT/splits/5y", f"{URL}/MSFT/splits/6m"),
    ],
)
def test_what_reaches_farther_is_the_same_resource(one: str, other: str) -> None:
    found = IexCloud().identity(one, b"")

    assert found is not None
    assert found == IexCloud().identity(other, b"")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{URL}/MSFT/chart", f"{URL}/AAPL/chart"),
        (f"{URL}/MSFT/chart", f"{URL}/MSFT/chart/date/20240610"),
        (f"{URL}/MSFT/chart/date/20240611", f"{URL}/MSFT/chart/date/20240610"),
        (f"{URL}/MSFT/chart", f"{URL}/MSFT/chart?chartCloseOnly=true"),
        (
            f"{URL}/market/batch?symbols=A,B&types=quote",
            f"{URL}/market/batch?symbols=A,C&types=quote",
        ),
    ],
)
def test_other_things_are_other_resources(one: str, other: str) -> None:
    assert IexCloud().identity(one, b"") != IexCloud().identity(other, b"")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://[",
        "https://finnhub.io/api/v1/stock/candle",
        f"{URL}/MSFT/chart/dynamic",
        f"{URL}/MSFT/company",
        "https://cloud.iexapis.com/v1/fx/latest?symbols=USDCAD",
        "https://elsewhere.example/v1/stock/MSFT/chart",
    ],
)
def test_what_is_no_question_of_ours_is_no_resource(url: str) -> None:
    assert IexCloud().identity(url, b"{}") is None
    assert IexCloud().body_span(url, b"[]") is None


def test_every_request_of_ours_is_found_among_its_recordings() -> None:
    vendor = IexCloud()
    questions = [ask(), ask(interval=Interval.MINUTE_1), ask(start="2023-06-10")]
    asked = [each for x in questions for each in vendor.bar_requests(x)]
    asked += vendor.action_requests(AAPL, frozenset({Adjustment.SPLIT_DIVIDEND}), 0)
    assert vendor.quoting is not None
    assert vendor.batching is not None
    asked += [
        vendor.quoting.quote_request([AAPL]),
        vendor.batching.batch_request([ask()]),
    ]

    for request in asked:
        assert vendor.identity(request.full_url, b"") is not None


def test_a_recorded_chart_covers_its_days() -> None:
    body = json.dumps([day("2024-06-11"), day("2024-06-07")]).encode()

    span = IexCloud().body_span(f"{URL}/MSFT/chart", body)

    assert span is not None
    assert (span.start_ns, span.end_ns) == (ns("2024-06-07"), ns("2024-06-12"))
    for other in ("splits/6m", "quote"):
        assert IexCloud().body_span(f"{URL}/MSFT/{other}", body) is None
    assert IexCloud().body_span(f"{URL}/MSFT/chart", b"Unknown symbol") is None


def test_a_quote_says_when_it_was_told() -> None:
    assert IexCloud().told_at_ns(b'{"latestUpdate":1554408000193}') == 1554408000193 * (
        SECOND_NS // 1000
    )
    assert IexCloud().told_at_ns(b"[]") is None


@RECORDED
@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("adjustment", Adjustment)
def test_every_number_of_a_recorded_chart_is_told(
    name: str, adjustment: Adjustment
) -> None:
    body, _, url = recorded(name)
    rows = sorted(json.loads(body), key=lambda row: row["date"])
    prefix = PREFIXES[adjustment]
    if f"{prefix}Close" not in rows[0] and prefix:
        with pytest.raises(ProviderError, match=str(adjustment)):
            IexCloud().read_bars(answer(body), ask(adjustment=adjustment))
        return

    series = IexCloud().read_bars(answer(body), ask(adjustment=adjustment)).series

    columns = (series.open, series.high, series.low, series.close, series.volume)
    for field, column in zip(NAMES, columns, strict=True):
        key = f"{prefix}{field.title()}" if prefix else field
        assert column is not None
        assert column.tolist() == [row[key] for row in rows]
    assert series.open_time_ns.tolist() == [ns(row["date"]) for row in rows]
    span = IexCloud().body_span(url, body)
    assert span is not None
    assert span.end_ns == ns(rows[-1]["date"]) + DAY_NS


@RECORDED
@pytest.mark.parametrize("name", CHARTS[:3])
def test_the_weight_of_a_recorded_chart_is_what_the_vendor_counted(name: str) -> None:
    body, headers, _ = recorded(name)
    budget = IexCloud().plans["free"]

    series = IexCloud().read_bars(answer(body), ask()).series

    assert budget.weight("chart") * len(series) == units(budget, headers)


@RECORDED
def test_the_chart_that_we_would_have_asked_for_costs_what_it_did() -> None:
    body, _, _ = recorded("historical_prices_msft_5d")
    rows = json.loads(body)
    question = ask(
        start=rows[0]["date"],
        end="2020-11-11",
        now="2020-11-11T14:09",
        refused=frozenset(),
    )

    (request,) = IexCloud().bar_requests(question)

    assert request.url.endswith("/chart/5d")
    assert request.times == len(rows)


@RECORDED
def test_recorded_minutes_are_told_as_all_exchanges_traded_them() -> None:
    body = (FOLDER / "4j_v1_stock_IntradayPricesResponse.json").read_bytes()
    (row,) = json.loads(body)

    series = IexCloud().read_bars(answer(body), ask(interval=Interval.MINUTE_1)).series

    assert series.open_time_ns.tolist() == [ns("2019-05-30T13:30")]
    columns = (series.open, series.high, series.low, series.close, series.volume)
    for field, column in zip(NAMES, columns, strict=True):
        assert column is not None
        assert column.tolist() == [row[f"market{field.title()}"]]


@RECORDED
def test_a_recorded_quote_is_told_with_its_numbers() -> None:
    body, _, _ = recorded("quote_msft")
    microsoft = instrument("MSFT")
    quoting = IexCloud().quoting
    assert quoting is not None

    told = quoting.read_quotes(answer(body), [microsoft])[microsoft]

    assert isinstance(told, Snapshot)
    assert told.trade is not None
    assert (told.trade.price, told.previous_close) == (119.36, 119.97)
    assert told.trade.time_ns == 1_554_408_000_193_000_000
    # Nothing was offered out of hours.
    assert told.quote is None


@RECORDED
def test_recorded_actions_are_read() -> None:
    splits = (FOLDER / "4j_v1_stock_SplitsResponse.json").read_bytes()
    chart, _, _ = recorded("chart_msft")
    vendor = IexCloud()

    for name, complete in (("dividends_msft", True), ("v1_dividends", False)):
        file = FOLDER / f"{name}.json"
        actions = vendor.read_actions(
            [answer(splits), answer(file.read_bytes()), answer(chart)], AAPL
        )
        assert actions.split_days_ns.tolist() == [ns("2020-08-31")]
        assert actions.split_ratios.tolist() == [4.0]
        assert actions.complete_dividends or not complete


@RECORDED
@pytest.mark.parametrize(
    "name", ["chart_invalid", "quote_invalid", "dividends_invalid"]
)
def test_recorded_complaints_say_that_the_symbol_is_unknown(name: str) -> None:
    body, _, url = recorded(name)

    with pytest.raises(ProviderError) as caught:
        IexCloud().check(HttpRequest("iex_cloud", url), answer(body, 404))

    assert caught.value.facts() == {"providers": "iex_cloud", "symbol": "INVALID"}


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 400, 402, 403, 404]))
def test_any_bytes_end_in_bars_or_in_an_error_of_the_vendor(
    body: bytes, status: int
) -> None:
    vendor, response = IexCloud(), answer(body, status)
    (request,) = vendor.bar_requests(ask())
    assert vendor.quoting is not None
    assert vendor.batching is not None
    for read in (
        lambda: vendor.check(request, response),
        lambda: vendor.read_bars(response, ask()),
        lambda: vendor.read_bars(response, ask(interval=Interval.MINUTE_1)),
        lambda: vendor.read_actions([response] * 3, AAPL),
        lambda: vendor.quoting and vendor.quoting.read_quotes(response, [AAPL]),
        lambda: vendor.batching and vendor.batching.read_batch(response, [ask()]),
    ):
        try:
            read()
        except ProviderError:
            continue
    vendor.told_at_ns(body)
    vendor.body_span(request.url, body)
