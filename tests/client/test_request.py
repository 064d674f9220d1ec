"""Words, dates and names become the messages of the contract."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    source_policy_pb2,
)

from ingestion_server.client import Client, Query, SyncClient
from ingestion_server.client.request import batch_request, fetch_request, moment
from tests.client.fakes import FIRST, stamp

EAST = timezone(timedelta(hours=2))


def test_a_bare_query_asks_for_split_adjusted_days_in_columns_from_any_vendor() -> None:
    request = fetch_request("AAPL", {})

    assert request == ingestion_service_pb2.FetchRequest(
        symbol="AAPL",
        interval=bar_pb2.INTERVAL_1_DAY,
        adjustment=bar_pb2.ADJUSTMENT_SPLIT,
        session=ingestion_service_pb2.SESSION_REGULAR,
        layout=ingestion_service_pb2.LAYOUT_COLUMNS,
        source_policy=source_policy_pb2.SourcePolicy(
            mode=source_policy_pb2.SourcePolicy.MODE_ANY, allow_partial=True
        ),
    )


def test_every_option_reaches_both_requests() -> None:
    query = Query(
        interval="1MO",
        start=FIRST,
        end="2025-02-01",
        limit=7,
        adjustment="raw",
        session="extended",
        asset_class="index",
        exchange="XLON",
        providers=["yahoo", "finnhub"],
        mode="consensus",
        tolerance=0.0,
        allow_partial=False,
        max_staleness_seconds=0.5,
        max_cost_usd=0.0,
        priority="interactive",
    )

    one = fetch_request("^GSPC", query)
    many = batch_request("^GSPC", query)

    assert one == ingestion_service_pb2.FetchRequest(
        symbol="^GSPC",
        interval=bar_pb2.INTERVAL_1_MONTH,
        start=stamp(FIRST),
        end=stamp(datetime(2025, 2, 1, tzinfo=UTC)),
        limit=7,
        adjustment=bar_pb2.ADJUSTMENT_RAW,
        session=ingestion_service_pb2.SESSION_EXTENDED,
        asset_class=ingestion_service_pb2.ASSET_CLASS_INDEX,
        exchange="XLON",
        layout=ingestion_service_pb2.LAYOUT_COLUMNS,
        priority=ingestion_service_pb2.PRIORITY_INTERACTIVE,
        source_policy=source_policy_pb2.SourcePolicy(
            mode=source_policy_pb2.SourcePolicy.MODE_CONSENSUS,
            providers=["yahoo", "finnhub"],
            allow_partial=False,
            max_staleness=timedelta(seconds=0.5),
            max_cost_usd=0.0,
            tolerance=0.0,
        ),
    )
    assert list(many.symbols) == ["^GSPC"]
    assert [(f.name, v) for f, v in many.ListFields()][1:] == [
        (f.name, v) for f, v in one.ListFields()
    ][1:]


@pytest.mark.parametrize(
    ("query", "mode", "names"),
    [
        (Query(providers="yahoo"), "MODE_PINNED", ["yahoo"]),
        (Query(providers=("a", "b")), "MODE_ORDERED", ["a", "b"]),
        (Query(providers=("a", "b"), mode="any"), "MODE_ANY", ["a", "b"]),
        (Query(mode="consensus"), "MODE_CONSENSUS", []),
    ],
)
def test_naming_providers_means_a_mode(
    query: Query, mode: str, names: list[str]
) -> None:
    policy = fetch_request("AAPL", query).source_policy

    assert policy.mode == source_policy_pb2.SourcePolicy.Mode.Value(mode)
    assert list(policy.providers) == names


@pytest.mark.parametrize(
    "when",
    [
        FIRST,
        FIRST.astimezone(EAST),
        date(2025, 1, 6),
        pd.Timestamp(FIRST),
        "2025-01-06",
        "2025-01-06T00:00:00Z",
        "2025-01-06 02:00+02:00",
    ],
)
def test_a_point_in_time_has_many_spellings(when: datetime | date | str) -> None:
    assert moment(when, "start") == stamp(FIRST)


@pytest.mark.parametrize("when", [datetime(2025, 1, 6), "2025-01-06T00:00"])  # noqa: DTZ001
def test_a_naive_time_is_refused_with_the_fix(when: datetime | str) -> None:
    with pytest.raises(ValueError, match=r"no time zone: .*tzinfo=datetime.UTC"):
        moment(when, "start")


def test_rubbish_is_no_time() -> None:
    with pytest.raises(ValueError, match=r"end 'soon' is no ISO date"):
        moment("soon", "end")


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        (Query(interval="2d"), "1m, 5m, 15m, 30m, 1h, 1d, 1w, 1mo"),
        (Query(adjustment="all"), "raw, split, split_dividend"),
        (Query(session="night"), "regular, extended"),
        (Query(asset_class="bond"), "equity, fx, crypto, index, future"),
        (Query(mode="some"), "any, ordered, pinned, consensus"),
        (Query(priority="high"), "interactive, batch"),
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(
    query: Query, accepted: str
) -> None:
    (name, word), *_ = query.items()

    with pytest.raises(ValueError, match=f"{name} '{word}' is none of: {accepted}$"):
        fetch_request("AAPL", query)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_what_is_no_length_of_time_is_refused(seconds: float) -> None:
    with pytest.raises(
        ValueError, match=f"max_staleness_seconds {seconds} is no length of time"
    ):
        fetch_request("AAPL", Query(max_staleness_seconds=seconds))


@pytest.mark.parametrize("client", [Client, SyncClient])
@pytest.mark.parametrize("method", ["fetch", "fetch_batch"])
def test_help_shows_every_option_and_its_default(client: type, method: str) -> None:
    shown = inspect.signature(getattr(client, method)).parameters

    assert set(Query.__annotations__) < set(shown)
    assert shown["interval"].default == "1d"
    assert "query" not in shown
