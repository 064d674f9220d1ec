"""One who is behind is nobody's concern but his own; for many we wait, never long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ingestion_server.ingest.live.crowd import CROWDED_ITEMS, Crowd, Readers
from tests.clocks import ManualClock


@dataclass(eq=False)
class Reader:
    """Be somebody who reads, or not."""

    items: int = 0
    read_at: float = 1000.0
    waiting: bool = False
    behind: bool = False
    dropped: tuple[str, int] = ("conflate", 0)
    crowd: Crowd | None = None

    def read(self) -> None:
        """Read all there is."""
        self.items = 0
        if self.crowd is not None:
            self.crowd.caught_up()
            self.crowd = None


def readers(*all_of_them: Reader) -> tuple[Readers, ManualClock]:
    """Count some in."""
    clock = ManualClock(runs=False)
    found = Readers(clock.monotonic)
    for reader in all_of_them:
        found.add(reader)
    return found, clock


async def test_nobody_waits_for_one_of_four_who_is_behind() -> None:
    slow = Reader(items=CROWDED_ITEMS)
    found, _ = readers(slow, *(Reader() for _ in range(3)))

    await found.caught_up()

    assert slow.crowd is None


async def test_if_more_are_behind_they_are_waited_for_until_few_enough_are() -> None:
    slow = [Reader(items=CROWDED_ITEMS) for _ in range(2)]
    found, _ = readers(*slow, *(Reader() for _ in range(2)))

    waiting = asyncio.create_task(found.caught_up())
    await asyncio.sleep(0)
    assert not waiting.done()
    slow[0].read()
    await waiting

    assert slow[1].items == CROWDED_ITEMS


async def test_who_has_read_nothing_for_long_is_not_waited_for() -> None:
    gone = Reader(items=CROWDED_ITEMS)
    found, clock = readers(gone)
    clock.pass_by(1)

    await found.caught_up()

    assert gone.crowd is None


async def test_who_never_reads_is_waited_for_only_for_a_moment() -> None:
    stuck = Reader(items=CROWDED_ITEMS)
    found, _ = readers(stuck)

    async with asyncio.timeout(10):
        await found.caught_up()

    assert stuck.crowd is not None


def test_who_left_does_not_count_and_may_leave_twice() -> None:
    reader = Reader()
    found, _ = readers(reader)
    assert len(found) == 1

    found.remove(reader)
    found.remove(reader)

    assert len(found) == 0


def test_who_is_behind_is_counted() -> None:
    found, _ = readers(
        Reader(),
        Reader(items=CROWDED_ITEMS - 1),
        Reader(items=CROWDED_ITEMS),
        Reader(behind=True),
    )

    assert found.slow == 2


def test_what_was_left_out_counts_also_once_its_reader_is_gone() -> None:
    gone = Reader(dropped=("conflate", 30))
    found, _ = readers(
        gone, Reader(dropped=("conflate", 4)), Reader(dropped=("drop_oldest", 5))
    )
    before = dict(found.dropped)

    found.remove(gone)
    found.remove(gone)

    assert before == {"conflate": 34, "drop_oldest": 5}
    assert found.dropped == before
