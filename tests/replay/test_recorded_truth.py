"""What an answer out of the real recordings says about itself, through the port."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import grpc
import pytest
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.app.mode import Mode
from tests.port.house import (
    Build,
    House,
    attempts,
    closes,
    holes,
    pinned,
    served_by,
    times,
)
from tests.replay.conftest import LATER
from tests.replay.vendors import ABSENT, RECORDINGS, body

pytestmark = [
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason=ABSENT),
    pytest.mark.asyncio(loop_scope="module"),
]

CHARTS_OF_AAPL = {
    "nyf2_chart-AAPL-2020-01-01-to-2020-01-03.json": ("2020-01-02", "2020-01-03"),
    "nyf2_chart-AAPL-2020-08-31-to-2020-11-07.json": ("2020-08-31", "2020-11-07"),
    "nyf2_chart-AAPL.json": ("2022-02-22", "2022-02-23"),
    "yfrs_history_chart_AAPL.json": ("2025-04-30", "2025-10-30"),
}
YEAR_OF_NVDA: dict[str, Any] = {
    "start": "2021-02-01T00:00:00Z",
    "end": "2022-02-01T00:00:00Z",
}
SPLIT_OF_AAPL: dict[str, Any] = {
    "start": "2020-08-31T00:00:00Z",
    "end": "2020-09-05T00:00:00Z",
}
YAHOO: dict[str, Any] = {"source_policy": pinned("yahoo")}
ALPHA_VANTAGE: dict[str, Any] = {"source_policy": pinned("alpha_vantage")}


def days(first: str, stop: str) -> dict[str, Any]:
    """Return a range of whole days."""
    return {"start": f"{first}T00:00:00Z", "end": f"{stop}T00:00:00Z"}


def received(answer: ingestion_service_pb2.FetchResponse) -> set[datetime]:
    """Return when the parts of an answer were received."""
    return {source.received_at.ToDatetime(tzinfo=UTC) for source in answer.sources}


@pytest.mark.parametrize("name", CHARTS_OF_AAPL)
async def test_the_asked_range_chooses_among_recordings_of_the_same(
    real: House, name: str
) -> None:
    page = body(f"yahoo/{name}")

    answer = await real.fetch(symbol="AAPL", **days(*CHARTS_OF_AAPL[name]), **YAHOO)

    assert closes(answer) == [page.bars[label]["close"] for label in sorted(page.bars)]


async def test_of_recordings_that_both_fit_the_larger_overlap_answers(
    real: House,
) -> None:
    answer = await real.fetch(
        symbol="AAPL", **days("2020-01-01", "2020-09-12"), **YAHOO
    )

    assert times(answer)[0] == "2020-08-31T00:00:00Z"
    assert len(times(answer)) == 9
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert holes(answer) == [("2020-01-02T00:00:00Z", "2020-08-29T00:00:00Z")]


async def test_a_range_is_from_its_start_to_before_its_end(real: House) -> None:
    answer = await real.fetch(
        symbol="AAPL", **days("2020-09-01", "2020-09-04"), **YAHOO
    )

    assert times(answer) == [f"2020-09-0{day}T00:00:00Z" for day in (1, 2, 3)]
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


async def test_a_range_of_minutes_is_from_its_start_to_before_its_end(
    real: House,
) -> None:
    answer = await real.fetch(
        symbol="TSLA",
        interval="INTERVAL_1_MINUTE",
        start="2022-04-08T14:00:00Z",
        end="2022-04-08T14:03:00Z",
        **YAHOO,
    )

    assert times(answer) == [f"2022-04-08T14:0{minute}:00Z" for minute in range(3)]


async def test_minutes_older_than_a_month_are_young_enough_when_recorded(
    real: House,
) -> None:
    page = body("yahoo/v8_chart_TSLA_1m_nulls.json")

    answer = await real.fetch(**page.request(source_policy={}))

    assert served_by(answer) == ["yahoo"]
    assert received(answer) == {page.recorded}
    assert ("yahoo", "PARTIAL") in attempts(answer)
    assert (
        holes(answer)
        == page.holes
        == [("2022-04-08T14:54:00Z", "2022-04-08T14:55:00Z")]
    )


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT"])
async def test_the_row_of_a_session_that_just_ended_is_not_final(
    real: House, symbol: str
) -> None:
    answer = await real.fetch(
        symbol=symbol, **days("2025-04-30", "2025-10-30"), **YAHOO
    )

    *earlier, last = answer.series.bars
    assert last.open_time.ToJsonString() == "2025-10-29T00:00:00Z"
    assert last.state == bar_pb2.BAR_STATE_PARTIAL
    assert {bar.state for bar in earlier} == {bar_pb2.BAR_STATE_FINAL}


async def test_the_off_grid_row_of_a_settled_session_is_final(real: House) -> None:
    page = body("yahoo/v8_chart_GM_1d.json")

    answer = await real.fetch(**page.request())

    last = answer.series.bars[-1]
    # Stamped 21:00:02 and received at 22:17:45.
    assert last.open_time.ToJsonString() == "2021-12-21T00:00:00Z"
    assert last.state == bar_pb2.BAR_STATE_FINAL


async def test_the_currency_day_that_was_still_running_is_not_final(
    real: House,
) -> None:
    answer = await real.fetch(
        **body("alphavantage/fx_daily_CHF_USD_full.json").request()
    )

    *earlier, last = answer.series.bars
    assert last.state == bar_pb2.BAR_STATE_PARTIAL
    assert {bar.state for bar in earlier} == {bar_pb2.BAR_STATE_FINAL}


async def test_more_than_was_recorded_is_partial_with_the_exact_intervals(
    real: House,
) -> None:
    answer = await real.fetch(symbol="GM", **days("2020-12-01", "2022-01-15"), **YAHOO)

    assert len(times(answer)) == 253
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert holes(answer) == [
        ("2020-12-01T00:00:00Z", "2020-12-19T00:00:00Z"),
        ("2021-12-22T00:00:00Z", "2022-01-15T00:00:00Z"),
    ]
    assert all("yahoo" in hole.reason for hole in answer.missing)


async def test_more_than_a_cut_page_of_alpha_vantage_is_partial_too(
    real: House,
) -> None:
    answer = await real.fetch(
        symbol="IBM",
        adjustment="ADJUSTMENT_RAW",
        **days("2020-12-28", "2021-01-20"),
        **ALPHA_VANTAGE,
    )

    assert len(times(answer)) == 7
    assert holes(answer) == [
        ("2020-12-28T00:00:00Z", "2020-12-31T00:00:00Z"),
        ("2021-01-12T00:00:00Z", "2021-01-20T00:00:00Z"),
    ]


async def test_pence_are_not_called_pounds(real: House) -> None:
    answer = await real.fetch(
        symbol="OCDO", exchange="XLON", **days("2020-01-02", "2020-01-03"), **YAHOO
    )

    assert answer.series.currency == "GBp"
    assert closes(answer) == [1259.5]


@pytest.mark.parametrize("policy", [YAHOO, {}])
@pytest.mark.parametrize("adjustment", ["RAW", "SPLIT_DIVIDEND"])
async def test_prices_that_need_every_split_are_not_made_of_a_part_of_history(
    real: House, adjustment: str, policy: dict[str, Any]
) -> None:
    refused = await real.refused(
        symbol="NVDA", adjustment=f"ADJUSTMENT_{adjustment}", **YEAR_OF_NVDA, **policy
    )

    if policy:
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "CAPABILITY_MISSING"
        assert "not every split is known" in refused.message
    else:
        # The other vendor might have them; nobody recorded it.
        assert refused.reason == "NO_DATA_UNEXPLAINED"


@pytest.mark.parametrize("adjustment", ["SPLIT", "SPLIT_DIVIDEND"])
async def test_raw_days_are_not_passed_off_as_adjusted(
    real: House, adjustment: str
) -> None:
    refused = await real.refused(
        symbol="IBM",
        adjustment=f"ADJUSTMENT_{adjustment}",
        **days("2020-12-31", "2021-01-12"),
        **ALPHA_VANTAGE,
    )

    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "NO_DATA_UNEXPLAINED"
    assert "function=SPLITS&symbol=IBM" in refused.message


async def test_what_one_vendor_never_recorded_the_next_answers(real: House) -> None:
    answer = await real.fetch(symbol="AAPL", **SPLIT_OF_AAPL)

    assert served_by(answer) == ["yahoo"]
    assert attempts(answer)[0] == ("alpha_vantage", "NO_DATA_UNEXPLAINED")
    assert closes(answer)[:2] == [129.04, 134.18]


@pytest.mark.parametrize(
    ("vendor", "url"),
    [
        ("yahoo", "GET https://query2.finance.yahoo.com/v8/finance/chart/ZZZ?"),
        (
            "alpha_vantage",
            "GET https://www.alphavantage.co/query?function=TIME_SERIES_DAILY&symbol=ZZZ&",
        ),
    ],
)
async def test_what_was_never_recorded_is_named_without_secrets(
    calendar_cache: Path, build: Build, vendor: str, url: str
) -> None:
    del calendar_cache
    secret = "a-key-that-nobody-may-see"
    async with build(
        mode=Mode(replay=RECORDINGS),
        start=LATER,
        settings={"PROVIDERS__ALPHA_VANTAGE__API_KEY": secret},
    ) as home:
        refused = await home.refused(
            symbol="ZZZ",
            adjustment=("ADJUSTMENT_SPLIT" if vendor == "yahoo" else "ADJUSTMENT_RAW"),
            source_policy=pinned(vendor),
            **SPLIT_OF_AAPL,
        )

    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "NO_DATA_UNEXPLAINED"
    assert url in refused.message
    assert secret not in refused.message
    assert secret.encode() not in refused.status.SerializeToString()


async def test_every_request_that_nobody_recorded_is_named(real: House) -> None:
    refused = await real.refused(
        symbol="ZZZ",
        source_policy={"mode": "MODE_ORDERED", "providers": ["yahoo", "alpha_vantage"]},
        **SPLIT_OF_AAPL,
    )

    assert refused.reason == "NO_DATA_UNEXPLAINED"
    assert "query2.finance.yahoo.com/v8/finance/chart/ZZZ" in refused.message
    assert "function=SPLITS&symbol=ZZZ" in refused.message


async def test_a_recorded_404_says_that_the_symbol_is_unknown(
    tmp_path: Path, build: Build
) -> None:
    # Our symbols begin with a letter or a digit, so nobody can ask for "-BTC".
    name = "v8_error_404_delisted.json"
    shutil.copy(RECORDINGS / "yahoo" / name, tmp_path / name)
    beside = f"{name}.meta.json"
    told = json.loads((RECORDINGS / "yahoo" / beside).read_text())
    told["url"] = told["url"].replace("/-BTC?", "/GONE?")
    (tmp_path / beside).write_text(json.dumps(told))

    async with build(mode=Mode(replay=tmp_path), start=LATER) as home:
        refused = await home.refused(
            symbol="GONE",
            interval="INTERVAL_1_MINUTE",
            start="2022-04-01T13:30:00Z",
            end="2022-04-01T20:00:00Z",
            **YAHOO,
        )

    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "SYMBOL_UNKNOWN"


async def test_nobody_leaves_this_machine(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(*args: object, **_: object) -> NoReturn:
        tried.append(repr(args))
        raise AssertionError(f"a recording needs no network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(aiohttp.ClientSession, "_request", refuse)

    async with build(mode=Mode(replay=RECORDINGS), start=LATER) as home:
        answer = await home.fetch(symbol="AAPL", **SPLIT_OF_AAPL)
        await home.refused(symbol="ZZZ", **SPLIT_OF_AAPL)

    assert len(times(answer)) == 5
    assert not tried
