"""Answers become columns with the truth beside them."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta

import numpy as np
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provenance_pb2,
)

from ingestion_server.client import (
    Attempt,
    Completeness,
    MissingInterval,
    QualityFlag,
    Source,
)
from ingestion_server.client.bars import decoded
from tests.client.fakes import (
    DAY,
    FIRST,
    answer,
    columns,
    partial_answer,
    source,
)


def test_columns_become_arrays() -> None:
    bars = decoded([answer()])

    assert len(bars) == 3
    assert bars.open_time_ns.dtype == np.int64
    assert bars.times[0] == np.datetime64("2025-01-06", "ns")
    assert bars.open.tolist() == [100.5, 101.5, 102.5]
    assert bars.high.tolist() == [102.25, 103.25, 104.25]
    assert bars.low.tolist() == [99, 100, 101]
    assert bars.close.tolist() == [101.5, 102.5, 103.5]
    assert bars.volume.tolist() == [1000, 2000, 3000]
    assert bars.state.tolist() == [1, 1, 2]
    assert bars.vwap is None
    assert bars.trade_count is None


def test_the_series_is_described() -> None:
    bars = decoded([answer()])

    assert (bars.symbol, bars.interval, bars.adjustment) == ("AAPL", "1d", "split")
    assert (bars.currency, bars.exchange) == ("USD", "XNYS")
    assert bars.time_zone == "America/New_York"
    assert bars.request_id == "r-1"
    assert bars.is_daily


def test_the_truth_is_told() -> None:
    bars = decoded([partial_answer()])

    assert bars.completeness is Completeness.PARTIAL
    assert bars.missing == (
        MissingInterval(FIRST + 3 * DAY, FIRST + 4 * DAY, "yahoo has no row"),
    )
    assert bars.sources == (
        Source(
            provider="yahoo",
            start=FIRST,
            end=FIRST + 3 * DAY,
            feed_delay=timedelta(minutes=15),
            received_at=FIRST + 10 * DAY,
            from_cache=False,
            cache_age=None,
            derived=False,
            derivation="",
        ),
    )
    assert bars.attempts == (
        Attempt(
            provider="alpha_vantage",
            outcome="FAILED",
            reason="QUOTA_EXHAUSTED: 25 a day",
            latency=timedelta(milliseconds=120),
            cost_usd=0.01,
            calls=2,
            hedge=False,
            shared=False,
        ),
    )
    assert bars.quality_flags == (
        QualityFlag("ROW_QUARANTINED", FIRST, "high below low"),
        QualityFlag("DERIVED", None, "from 30m"),
    )


def test_what_came_of_the_cache_and_of_others_calls_is_told() -> None:
    kept = source()
    kept.from_cache = True
    kept.cache_age.FromTimedelta(timedelta(seconds=90))
    tried = provenance_pb2.Attempt(
        provider="yahoo",
        outcome=provenance_pb2.ATTEMPT_OUTCOME_OVERTAKEN,
        hedge=True,
        shared=True,
    )
    kinds = ["STALE", "DISAGREEMENT", "UNCONFIRMED"]
    flags = [
        provenance_pb2.QualityFlag(
            kind=provenance_pb2.QualityFlagKind.Value(f"QUALITY_FLAG_KIND_{kind}")
        )
        for kind in kinds
    ]

    bars = decoded([answer(sources=[kept], attempts=[tried], quality_flags=flags)])

    (signed,), (attempt,) = bars.sources, bars.attempts
    assert (signed.from_cache, signed.cache_age) == (True, timedelta(seconds=90))
    assert attempt == Attempt(
        provider="yahoo",
        outcome="OVERTAKEN",
        reason="",
        latency=timedelta(0),
        cost_usd=0.0,
        calls=0,
        hedge=True,
        shared=True,
    )
    assert [flag.kind for flag in bars.quality_flags] == kinds


@pytest.mark.parametrize(
    ("number", "word"), [(0, "UNSPECIFIED"), (3, "DEGRADED"), (99, "UNSPECIFIED")]
)
def test_an_unknown_completeness_is_never_complete(number: int, word: str) -> None:
    assert decoded([answer(completeness=number)]).completeness == word


def test_columns_without_values_are_nan() -> None:
    bars = decoded([answer(columns(volume=[], state=[]))])

    assert np.isnan(bars.volume).tolist() == [True, True, True]
    assert bars.state.tolist() == [0, 0, 0]


def test_an_empty_answer_has_empty_columns() -> None:
    bars = decoded([answer(bar_pb2.BarColumns(), sources=[])])

    assert len(bars) == 0
    assert bars.close.shape == bars.times.shape == bars.state.shape == (0,)
    assert repr(bars) == "<Bars AAPL 1d: 0 bars, split USD, COMPLETE>"


def test_optional_columns_are_there_if_the_vendor_has_them() -> None:
    bars = decoded([answer(columns(vwap=[1.0, 2.0, 3.0], trade_count=[7, -1, 9]))])

    assert bars.vwap is not None
    assert bars.vwap.tolist() == [1, 2, 3]
    assert bars.trade_count is not None
    assert bars.trade_count.tolist() == [7, -1, 9]


def test_each_bar_has_its_provider() -> None:
    bars = decoded(
        [
            answer(
                columns(4),
                sources=[
                    source("alpha_vantage", days=1),
                    source("yahoo", FIRST + DAY, days=2),
                ],
            )
        ]
    )

    assert bars.provider_names() == ["alpha_vantage", "yahoo", "yahoo", ""]


def test_repr_tells_what_it_holds() -> None:
    assert repr(decoded([partial_answer()])) == (
        "<Bars AAPL 1d: 3 bars 2025-01-06 … 2025-01-08, split USD, PARTIAL, "
        "from yahoo, 1 missing>"
    )


def test_json_is_the_answer_with_rows() -> None:
    told = partial_answer()
    told.series.columns.CopyFrom(
        columns(volume=[5.0, float("nan"), 7.0], trade_count=[1, -1, 3])
    )

    text = decoded([told]).to_json()

    read = json_format.Parse(text, ingestion_service_pb2.FetchResponse())
    assert read.missing == partial_answer().missing
    assert not read.series.HasField("columns")
    rows = json.loads(text)["series"]["bars"]
    assert rows[0] == {
        "openTime": "2025-01-06T00:00:00Z",
        "open": 100.5,
        "high": 102.25,
        "low": 99.0,
        "close": 101.5,
        "volume": 5.0,
        "tradeCount": "1",
        "state": "BAR_STATE_FINAL",
    }
    assert {"volume", "tradeCount", "vwap"} & set(rows[1]) == set()


def test_bars_can_be_pickled() -> None:
    bars = pickle.loads(pickle.dumps(decoded([partial_answer()])))  # noqa: S301

    assert bars.close.tolist() == [101.5, 102.5, 103.5]
    assert bars.missing == decoded([partial_answer()]).missing
