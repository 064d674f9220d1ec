"""Long stretches of time are added up without all of them at hand."""

from __future__ import annotations

import tracemalloc

from ingestion_server.domain.service_counts import Counts, Facts
from ingestion_server.domain.service_packing import packed
from ingestion_server.ingest.reporting.summing import Sum
from ingestion_server.ports.reporting import CountedStretch

HOUR = 480_000


def counted(
    minute: int, answered: int, failed: int, stint: str = "a"
) -> CountedStretch:
    """Return a minute of one RPC and one vendor."""
    counts = Counts(answered=answered, failures={"LATE": failed} if failed else {})
    facts = Facts(rpcs={"A/One": counts}, providers={"one": counts})
    return CountedStretch(minute, 1, stint, packed(facts))


def test_a_minute_is_bad_if_most_calls_of_all_servers_failed() -> None:
    found = Sum(
        [
            counted(HOUR + 1, 0, 3),
            counted(HOUR, 0, 1, "b"),
            counted(HOUR, 2, 0),
            counted(HOUR + 1, 1, 0, "b"),
        ]
    )

    assert found.facts.rpcs["A/One"].answered == 3
    assert found.overall == [(HOUR + 1, 1)]
    assert found.rpcs["A/One"] == found.providers["one"] == [(HOUR + 1, 1)]


def test_what_is_damaged_is_counted_and_left_out() -> None:
    found = Sum([counted(HOUR, 2, 0), CountedStretch(HOUR, 1, "b", b"rubbish")])

    assert found.damaged == 1
    assert found.facts.rpcs["A/One"].answered == 2


def test_months_take_the_memory_of_an_hour() -> None:
    counts = Counts(answered=60, places=dict.fromkeys(range(150, 210), 1))
    data = packed(Facts(rpcs={f"A/{each}": counts for each in range(10)}))
    rows = [CountedStretch(HOUR + each * 60, 60, "", data) for each in range(300)]

    tracemalloc.start()
    try:
        Sum(rows)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_bytes < 1_000_000
