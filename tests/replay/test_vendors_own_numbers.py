"""Every recorded page of bars, fetched through the port: the vendor's own numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import House, holes
from tests.replay.vendors import (
    ABSENT,
    CLOSE_ONLY,
    COLUMNS,
    END_LABELLED,
    NO_BARS,
    RECORDINGS,
    Bar,
    body,
    looking_like_bars,
)

pytestmark = [
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason=ABSENT),
    pytest.mark.asyncio(loop_scope="module"),
]

FOUND = looking_like_bars() if RECORDINGS.is_dir() else []
UNNAMED_LABELS = "alphavantage/time_series_intraday_MSFT_1min_2017.json"
NO_CALENDAR = "yahoo/nyf2_chart-GC=F-2020-01-01-to-2020-01-03.json"


def bars_of(answer: ingestion_service_pb2.FetchResponse) -> dict[datetime, Bar]:
    """Return the bars of an answer, None for a field that is absent."""
    return {
        bar.open_time.ToDatetime(tzinfo=UTC): {
            column: getattr(bar, column) if bar.HasField(column) else None
            for column in COLUMNS
        }
        for bar in answer.series.bars
    }


async def test_no_recording_is_forgotten() -> None:
    assert set(NO_BARS) < set(FOUND)
    assert len(FOUND) - len(NO_BARS) >= 32
    # Whoever adds or removes a vendor's body learns here what is looked at.
    seen = {body(name).provider for name in FOUND if name not in NO_BARS}
    assert seen == {"alpha_vantage", "yahoo"}


@pytest.mark.parametrize("name", [name for name in FOUND if name not in NO_BARS])
async def test_each_number_and_each_time_is_the_vendors_own(
    real: House, name: str
) -> None:
    page = body(name)

    answer = await real.fetch(**page.request())

    served = bars_of(answer)
    assert list(served) == sorted(page.bars)
    assert served == page.bars
    assert answer.series.symbol == page.symbol
    assert answer.series.currency == page.currency
    assert answer.series.adjustment == bar_pb2.Adjustment.Value(page.served_as)
    assert [source.provider for source in answer.sources] == [page.provider]
    assert not answer.sources[0].derived
    assert holes(answer) == page.holes
    partial = bool(page.empty)
    assert (answer.completeness == truth.COMPLETENESS_PARTIAL) is partial
    received = answer.sources[0].received_at.ToDatetime(tzinfo=UTC)
    if page.recorded is None:
        # Nobody wrote down when; it was not before the last row.
        assert received >= max(page.bars)
    else:
        assert received == page.recorded


@pytest.mark.parametrize("name", [name for name in FOUND if name not in NO_BARS])
async def test_what_is_odd_about_a_recording_is_flagged_and_nothing_else(
    real: House, name: str
) -> None:
    page = body(name)
    expected: set[tuple[int, datetime | None]] = {
        (truth.QUALITY_FLAG_KIND_ROW_EMPTY, label) for label in page.empty
    }
    if page.absent:
        expected.add((truth.QUALITY_FLAG_KIND_FIELD_ABSENT, None))
    if name == UNNAMED_LABELS:
        expected.add((truth.QUALITY_FLAG_KIND_LABEL_ASSUMED, None))
    if name == NO_CALENDAR:
        expected.add((truth.QUALITY_FLAG_KIND_CALENDAR_UNKNOWN, None))

    answer = await real.fetch(**page.request())

    assert {
        (
            flag.kind,
            flag.time.ToDatetime(tzinfo=UTC) if flag.HasField("time") else None,
        )
        for flag in answer.quality_flags
    } == expected


@pytest.mark.parametrize("name", [name for name in FOUND if name not in NO_BARS])
async def test_columns_hold_the_same_numbers_as_rows(real: House, name: str) -> None:
    page = body(name)

    answer = await real.fetch(**page.request(layout="LAYOUT_COLUMNS"))

    columns = answer.series.columns
    moments = [int(label.timestamp()) * 1_000_000_000 for label in sorted(page.bars)]
    assert list(columns.open_time_ns) == moments
    for column in COLUMNS:
        told = [page.bars[label][column] for label in sorted(page.bars)]
        known = [] if all(value is None for value in told) else told
        assert list(getattr(columns, column)) == known, column


async def test_a_page_with_a_bar_at_20_00_is_labelled_by_the_ends_of_its_bars(
    real: House,
) -> None:
    rows = json.loads((RECORDINGS / END_LABELLED).read_text())["Time Series (15min)"]
    assert rows["2021-08-18 09:30:00"]["5. volume"] == "129733"
    assert float(rows["2021-08-18 09:45:00"]["5. volume"]) > 6.3e6

    answer = await real.fetch(**body(END_LABELLED).request())

    bars = bars_of(answer)
    # 09:30 in New York: the opening auction is in the first bar of the session.
    opening = bars[datetime(2021, 8, 18, 13, 30, tzinfo=UTC)]
    assert opening["volume"] == float(rows["2021-08-18 09:45:00"]["5. volume"])
    before = bars[datetime(2021, 8, 18, 13, 15, tzinfo=UTC)]
    assert before["volume"] == 129_733
    assert max(bars) == datetime(2021, 8, 18, 23, 45, tzinfo=UTC)
    assert not any(
        flag.kind == truth.QUALITY_FLAG_KIND_LABEL_ASSUMED
        for flag in answer.quality_flags
    )


async def test_regular_hours_begin_with_the_opening_auction(real: House) -> None:
    request = body(END_LABELLED).request(
        session="SESSION_REGULAR",
        start="2021-08-18T00:00:00Z",
        end="2021-08-19T00:00:00Z",
    )

    answer = await real.fetch(**request)

    bars = bars_of(answer)
    assert len(bars) == 26
    assert min(bars) == datetime(2021, 8, 18, 13, 30, tzinfo=UTC)
    assert max(bars) == datetime(2021, 8, 18, 19, 45, tzinfo=UTC)
    assert bars[min(bars)]["volume"] == 6_337_758
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


async def test_columns_that_the_vendor_did_not_send_stay_absent(real: House) -> None:
    answer = await real.fetch(**body(CLOSE_ONLY).request())

    assert len(answer.series.bars) == 123
    for bar in answer.series.bars:
        assert bar.HasField("close")
        assert not any(
            bar.HasField(column) for column in ("open", "high", "low", "volume")
        )


@pytest.mark.parametrize("name", [name for name in FOUND if name not in NO_BARS])
async def test_each_column_that_is_absent_is_named(real: House, name: str) -> None:
    page = body(name)

    answer = await real.fetch(**page.request())

    details = [
        flag.detail
        for flag in answer.quality_flags
        if flag.kind == truth.QUALITY_FLAG_KIND_FIELD_ABSENT
    ]
    assert len(details) == len(page.absent)
    for column, detail in zip(page.absent, details, strict=True):
        assert f"{page.provider} gives no {column}" in detail
