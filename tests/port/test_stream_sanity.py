"""What a vendor says that cannot be true is not told, and what is odd is marked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import pytest

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House
from tests.port.streaming import (
    FINNHUB,
    HASTY,
    Listener,
    facts,
    listening,
    misnumbered,
)
from tests.port.upstream import Upstream, row, upstream


class Scene(NamedTuple):
    """Be a listener, and the vendor it listens to."""

    home: House
    vendor: Upstream
    listener: Listener

    def ago(self, milliseconds: int) -> int:
        """Return a time of the vendor's."""
        return self.home.clock.now_ns() // 1_000_000 - milliseconds


Opened = Callable[[], AbstractAsyncContextManager[Scene]]


@pytest.fixture
def opened(build: Build) -> Opened:
    """Return what opens a stream that a test feeds."""

    @asynccontextmanager
    async def scene() -> AsyncIterator[Scene]:
        async with (
            upstream() as vendor,
            build(
                mode=Mode(sandbox_url=vendor.url),
                settings={**HASTY, "STREAM__SILENCE_SECONDS": "60"},
            ) as home,
            listening(home, "AAPL", **FINNHUB) as listener,
        ):
            await listener.until_told("SUBSCRIBED")
            await vendor.until_heard("AAPL")
            yield Scene(home, vendor, listener)

    return scene


def prices(listener: Listener) -> Sequence[float]:
    """Return what was told."""
    return [trade.price for trade in listener.trades]


@pytest.mark.parametrize(
    "wrong",
    [
        {"p": 0},
        {"p": -1},
        {"p": 1e400},
        {"v": -5},
        {"t": -1},
        {"t": 0},
        {"p": "high"},
        {"t": None},
    ],
    ids=str,
)
async def test_one_bad_row_loses_one_row(
    opened: Opened, wrong: dict[str, object]
) -> None:
    async with opened() as scene:
        now = scene.ago(100)
        bad = {**row(now, 2.0), **wrong}
        await scene.vendor.tell(row(now, 1.0), bad, row(now, 3.0))
        await scene.listener.more(2)
        await scene.vendor.tell(row(now + 1, 4.0))
        await scene.listener.more()

        assert prices(scene.listener) == [1.0, 3.0, 4.0]
        assert misnumbered(scene.listener) == []


async def test_what_is_odd_in_its_time_is_told_and_marked(opened: Opened) -> None:
    async with opened() as scene:
        await scene.vendor.tell(row(scene.ago(100), 1.0))
        await scene.vendor.tell(row(scene.ago(-600_000), 2.0))
        await scene.listener.more(2)
        await scene.vendor.tell(row(scene.ago(50), 3.0))
        await scene.listener.more()

        told = {trade.price: trade for trade in scene.listener.trades}
        assert [told[price].time_doubtful for price in (1.0, 2.0, 3.0)] == [
            False,
            True,
            False,
        ]
        # It does not make what is right look late.
        assert not told[3.0].out_of_order


async def test_equal_trades_in_one_millisecond_are_all_real(opened: Opened) -> None:
    async with opened() as scene:
        now = scene.ago(100)
        await scene.vendor.tell(*[row(now, 1.0, 100)] * 3)
        await scene.vendor.tell(row(now, 1.0, 100))
        await scene.listener.more(4)

        assert len(scene.listener.trades) == 4
        assert len(set(facts(scene.listener.trades))) == 1


async def test_a_message_is_sorted_by_its_times(opened: Opened) -> None:
    async with opened() as scene:
        now = scene.ago(100)
        await scene.vendor.tell(row(now + 9, 3.0), row(now, 1.0), row(now + 4, 2.0))
        await scene.listener.more(3)

        assert prices(scene.listener) == [1.0, 2.0, 3.0]
        assert not any(trade.out_of_order for trade in scene.listener.trades)


async def test_what_comes_after_a_later_one_says_so(opened: Opened) -> None:
    async with opened() as scene:
        now = scene.ago(5_000)
        await scene.vendor.tell(row(now + 1_000, 2.0))
        await scene.listener.more()
        await scene.vendor.tell(row(now, 1.0))
        await scene.listener.more()

        assert [trade.out_of_order for trade in scene.listener.trades] == [False, True]


async def test_what_nobody_asked_for_is_not_told(opened: Opened) -> None:
    async with opened() as scene:
        now = scene.ago(100)
        await scene.vendor.tell(row(now, 1.0, symbol="MSFT"), row(now, 2.0))
        await scene.listener.more()

        assert prices(scene.listener) == [2.0]


async def test_a_trade_without_a_size_has_none(opened: Opened) -> None:
    async with opened() as scene:
        await scene.vendor.tell({**row(scene.ago(100), 1.0), "v": None, "c": None})
        await scene.listener.more()

        (trade,) = scene.listener.trades
        assert not trade.HasField("size")
        assert not trade.conditions


async def test_a_refusal_of_all_symbols_is_not_taken_for_a_loss(
    opened: Opened,
) -> None:
    async with opened() as scene:
        await scene.vendor.say('{"type":"error","msg":"Internal server error"}')
        await scene.vendor.tell(row(scene.ago(10), 1.0))
        await scene.listener.more()

        assert not scene.listener.named("GAP")
        assert not scene.listener.named("REJECTED")
        assert scene.vendor.connections_opened == 1


async def test_rubbish_is_declared_as_a_gap_or_costs_nothing(opened: Opened) -> None:
    async with opened() as scene:
        now = scene.ago(1_000)
        await scene.vendor.tell(row(now, 1.0))
        await scene.vendor.say('{"type":"trade","data":[{"s":"AAPL","p":1,')
        await scene.vendor.tell(row(now + 500, 2.0))
        await scene.listener.more(2)

        # A trade may have been in there, and nobody can say that none was.
        await scene.listener.until_told("GAP")
        assert misnumbered(scene.listener) == []
