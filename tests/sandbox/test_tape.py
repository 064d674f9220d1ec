"""The tape: deterministic, and it adds up to the bars."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.sandbox import catalogue
from ingestion_server.sandbox.days import load_zones
from ingestion_server.sandbox.listings import ZONES
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.news import Correction
from ingestion_server.sandbox.tape import Tape
from tests.sandbox.conftest import NewYork, at

MINUTE_NS = 60 * 10**9
MILLISECOND_NS = 10**6
LATER_NS = at("2025-01-10 12:00:00")
FRIDAY = "2025-01-03"


@pytest.fixture(autouse=True, scope="module")
def _zones():
    load_zones(ZONES)


def market(seed=7):
    """Return a market that knows New York."""
    return Market(seed, NewYork())


def rows(prints):
    """Return trades as tuples."""
    columns = (prints.time_ns, prints.price, prints.size)
    return list(zip(*(column.tolist() for column in columns), strict=True))


async def minutes(known, instrument, text):
    """Return the bars of a session, by its date."""
    history = await known.history(instrument)
    count = history.session_count(at(f"{text} 23:59:00"))
    return history.minutes(count - 1, count, LATER_NS, extended=True)


@pytest.mark.parametrize("per_second", [0.01, 2.0, 200.0])
@pytest.mark.parametrize("symbol", ["AAPL", "SBX0001", "GE", "^GSPC"])
async def test_the_trades_of_a_minute_are_its_bar(symbol, per_second):
    """In regular and extended hours, to the last share."""
    known, instrument = market(), catalogue.stock(symbol)
    tape = Tape(known, per_second=per_second)
    bars = await minutes(known, instrument, FRIDAY)

    for index in range(0, len(bars), 7):
        begin = int(bars.start_ns[index])
        prints = await tape.prints(instrument, begin, begin + MINUTE_NS)

        assert prints.price[0] == bars.open[index]
        assert prints.price.max() == bars.high[index]
        assert prints.price.min() == bars.low[index]
        assert prints.price[-1] == bars.close[index]
        volume = bars.volume[index] if instrument.pays_volume else 0
        assert prints.size.sum() == volume
        assert (prints.size >= 0).all()
        assert (prints.time_ns >= begin).all()
        assert (prints.time_ns < begin + MINUTE_NS).all()


async def test_coins_trade_around_the_clock_and_add_up():
    """Also in the night from Saturday to Sunday."""
    known, coin = market(), catalogue.coin_pair("BTC", "USD")
    tape = Tape(known, per_second=2.0)
    bars = await minutes(known, coin, "2025-01-04")

    begin = int(bars.start_ns[181])
    prints = await tape.prints(coin, begin, begin + MINUTE_NS)

    assert (prints.price[0], prints.price[-1]) == (bars.open[181], bars.close[181])
    assert prints.size.sum() == pytest.approx(bars.volume[181] * coin.volume_unit)


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 5 * MINUTE_NS), max_size=6),
    start_s=st.integers(-3600, 8 * 3600),
    symbol=st.sampled_from(["AAPL", "7203.T", "OANDA:EUR_USD", "BINANCE:BTCUSDT"]),
)
async def test_pieces_are_the_whole(cuts, start_s, symbol):
    """Whoever asks, in whatever pieces, sees the same trades."""
    instrument = catalogue.for_finnhub(symbol)
    begin = at(f"{FRIDAY} 08:00:00") + start_s * 10**9 + 123_456
    end = begin + 5 * MINUTE_NS
    whole = await Tape(market(), per_second=3.0).prints(instrument, begin, end)
    edges = [begin, *sorted(begin + cut for cut in cuts), end]
    other = Tape(market(), per_second=3.0)

    pieces = [
        await other.prints(instrument, first, last)
        for first, last in reversed(list(pairwise(edges)))
    ]

    assert [row for piece in reversed(pieces) for row in rows(piece)] == rows(whole)
    assert rows(whole) == sorted(rows(whole), key=lambda row: row[0])
    assert (whole.time_ns % MILLISECOND_NS == 0).all()


@pytest.mark.parametrize("when", ["2025-01-03 23:00:00", "2025-01-04 12:00:00"])
@pytest.mark.parametrize("symbol", ["AAPL", "OANDA:EUR_USD"])
async def test_it_never_sleeps(symbol, when):
    """At night and at weekends, small trades around the last close."""
    if symbol.startswith("OANDA") and "23:00" in when:
        when = "2025-01-05 12:00:00"
    known, instrument = market(), catalogue.for_finnhub(symbol)
    begin = at(when)

    prints = await Tape(known, per_second=2.0).prints(
        instrument, begin, begin + 10 * MINUTE_NS
    )

    bars = await minutes(known, instrument, FRIDAY)
    np.testing.assert_allclose(prints.price, bars.close[-1], rtol=2e-3)
    assert 600 < len(prints) < 2400
    assert prints.size.max() <= 20
    assert (prints.size > 0).all() == instrument.pays_volume


async def test_it_is_as_lively_as_asked_for_with_bursts_and_twins():
    """Some trades share their millisecond, some are the same in everything."""
    begin = at(f"{FRIDAY} 10:00:00")
    for per_second in (0.1, 2.0, 50.0):
        tape = Tape(market(), per_second=per_second)

        prints = await tape.prints(
            catalogue.stock("MSFT"), begin, begin + 300 * MINUTE_NS
        )

        assert len(prints) / 18_000 == pytest.approx(per_second, rel=0.1)
    told = rows(prints)
    assert len(set(told)) < len(told)
    assert len(np.unique(prints.time_ns)) < 0.9 * len(told)


async def test_another_seed_is_another_tape_and_nothing_precedes_the_listing():
    """TSLA was listed in June 2010."""
    instrument = catalogue.stock("TSLA")
    begin = at(f"{FRIDAY} 10:00:00")
    early = at("2010-06-28 10:00:00")

    first = await Tape(market(), per_second=2.0).prints(
        instrument, begin, begin + MINUTE_NS
    )
    other = await Tape(market(8), per_second=2.0).prints(
        instrument, begin, begin + MINUTE_NS
    )
    before = await Tape(market(), per_second=2.0).prints(
        instrument, early, early + MINUTE_NS
    )

    assert rows(first) != rows(other)
    assert len(before) == 0


async def test_news_change_the_tape_from_then_on():
    """A corrected minute is told anew, and only that one."""
    known, instrument = market(), catalogue.stock("IBM")
    tape = Tape(known, per_second=2.0)
    begin = at(f"{FRIDAY} 15:00:00")
    before = await tape.prints(instrument, begin, begin + 2 * MINUTE_NS)
    news = Correction(
        label_ns=at(FRIDAY + " 00:00:00") // (1440 * MINUTE_NS) * 1440 * MINUTE_NS,
        minute=15 * 60,
        close=None,
        volume=1234,
    )

    await known.tell(instrument, news, LATER_NS)
    after = await tape.prints(instrument, begin, begin + 2 * MINUTE_NS)

    assert after.between(begin, begin + MINUTE_NS).size.sum() == 1234
    rest = (begin + MINUTE_NS, begin + 2 * MINUTE_NS)
    assert rows(after.between(*rest)) == rows(before.between(*rest))


async def test_what_is_kept_is_bounded():
    """The oldest minutes go, and come back the same."""
    tape = Tape(market(), per_second=1000.0)
    instrument = catalogue.stock("SBX0002")
    begin = at(f"{FRIDAY} 02:00:00")

    first = await tape.prints(instrument, begin, begin + MINUTE_NS)
    for minute in range(90):
        start = begin + minute * MINUTE_NS
        await tape.prints(instrument, start, start + MINUTE_NS)

    assert tape.trades_kept <= 4_000_000
    again = await tape.prints(instrument, begin, begin + MINUTE_NS)
    assert rows(again) == rows(first)
