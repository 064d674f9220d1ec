"""The judge of the soak: what breaks a rule is named, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import ingestion_service_pb2, stream_pb2

from tests.process.soak_record import PROVIDER, Print, Record
from tests.process.soak_verdict import Damage, Edges, Truth, judge

FIRST = 1 << 32
SENT: Sequence[Print] = [(1_000 + 100 * n, 10.0 + n, 1.0) for n in range(8)]
Kind = stream_pb2.StreamEvent.Kind


def at(time_ms: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(round(time_ms * 1_000_000))
    return stamp


def trade(place: int, *, number: int = 0, backfilled: bool = False) -> stream_pb2.Trade:
    time_ms, price, size = SENT[place]
    return stream_pb2.Trade(
        symbol="AAPL",
        sequence=FIRST + (number or place),
        time=at(time_ms),
        price=price,
        size=size,
        provider=PROVIDER,
        backfilled=backfilled,
    )


def event(kind: Kind.ValueType, since_ms: float, to_ms: float, **more: int | bool):
    told = stream_pb2.StreamEvent(kind=kind, symbol="AAPL", to=at(to_ms), **more)
    getattr(told, "from").CopyFrom(at(since_ms))
    return told


def told(*items: stream_pb2.Trade | stream_pb2.StreamEvent, slow=False) -> Record:
    record = Record("who", ("AAPL",), slow=slow)
    for item in items:
        part = "trades" if isinstance(item, stream_pb2.Trade) else "events"
        record.take(ingestion_service_pb2.StreamQuotesResponse(**{part: [item]}))
    return record


def judged(record: Record, *, tape: Sequence[Print] = (), cuts: int = 1) -> list[str]:
    return list(judge(record, {"AAPL": Truth(SENT, tape)}, Damage(cuts), Edges()))


def test_whoever_got_everything_breaks_no_rule() -> None:
    assert judged(told(*map(trade, range(8)))) == []


def test_a_trade_that_did_not_come_and_is_in_no_gap_is_named() -> None:
    lost = [trade(place, number=number) for number, place in enumerate((0, 1, 3, 4, 5))]

    [wrong] = judged(told(*lost))

    assert wrong.startswith("who AAPL: sent between 1000 and 1500, but neither came")
    assert "1 trades (1200 1 at 12)" in wrong


def test_a_trade_that_did_not_come_may_be_in_a_declared_gap() -> None:
    gap = event(Kind.KIND_GAP, 1_100, 1_300.000001)
    items = [trade(0), trade(1), gap, trade(3, number=2), trade(4, number=3)]

    assert judged(told(*items)) == []
    assert "1 GAPs of 0 cuts" in judged(told(*items), cuts=0)[0]


def test_a_number_that_is_skipped_without_a_word_is_named() -> None:
    wrong = judged(told(*map(trade, (0, 1, 3, 4))))

    assert "came after" in wrong[0]
    assert "no event says why" in wrong[0]


def test_numbers_that_were_declared_merged_may_be_skipped_by_a_slow_one() -> None:
    merged = event(
        Kind.KIND_CONFLATED,
        1_100,
        1_300.000001,
        count=3,
        first_missing=FIRST + 1,
        last_missing=FIRST + 3,
        sequence=FIRST,
    )
    items = [trade(0), merged, trade(4), trade(5)]

    assert judged(told(*items, slow=True)) == []
    assert "one that reads as fast as it can" in judged(told(*items))[0]


def test_a_trade_that_comes_again_is_named() -> None:
    assert "came after" in judged(told(trade(0), trade(1), trade(1)))[0]
    again = told(trade(0), trade(1), trade(1, number=2), trade(2, number=3))
    assert "was not sent, or not so often" in judged(again)[0]


def test_what_was_filled_is_held_against_the_tape() -> None:
    gap = event(Kind.KIND_GAP, 1_100, 1_300.000001)
    filled = event(Kind.KIND_BACKFILLED, 1_100, 1_300.000001, count=1, verified=True)
    later = trade(2, number=3, backfilled=True)
    items = [trade(0), trade(1), gap, trade(3, number=2), later, filled]
    record = told(*items, trade(4))

    assert judged(record, tape=SENT) == []
    [wrong] = judged(record, tape=[*SENT[:3], (1_201, 5.0, 1.0), *SENT[3:]])
    assert "lacks 1 trades (1201 1 at 5)" in wrong
    [wrong] = judged(record, tape=[*SENT[:2], *SENT[3:]])
    assert "has too much: 1 trades (1200 1 at 12)" in wrong


def test_a_fill_of_which_something_did_not_come_is_named() -> None:
    filled = event(Kind.KIND_BACKFILLED, 1_100, 1_300, count=2, verified=True)
    later = trade(2, number=3, backfilled=True)
    wrong = judged(told(trade(0), trade(1), trade(3, number=2), later, filled))

    assert any("with 2, but 1 came" in each for each in wrong)
    assert any("backfilled, but in no GAP" in each for each in wrong)
