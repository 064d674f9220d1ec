"""How a vendor's own bars become the wanted ones."""

from __future__ import annotations

import pytest

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.provider import Capability
from ingestion_server.registry.recipe import Need, Recipe, Unable, recipe
from tests.builders import ns, span

RAW, SPLIT, BOTH = Adjustment
REGULAR, EXTENDED = TradingHours
EQUITY, FX, CRYPTO, INDEX, FUTURE = (
    AssetClass.EQUITY,
    AssetClass.FX,
    AssetClass.CRYPTO,
    AssetClass.INDEX,
    AssetClass.FUTURE,
)
M1, M5, M15, M30, H1, D1, W1, MO1 = Interval
NOW = ns("2024-06-03 12:00")
DAY = 86_400.0


def offer(
    intervals: set[Interval],
    adjustments: set[Adjustment],
    kinds: set[AssetClass] | None = None,
    *,
    extended: bool = False,
    oldest: float | None = None,
    earliest: str | None = None,
) -> Capability:
    """Declare what a vendor serves."""
    return Capability(
        frozenset(kinds or {EQUITY}),
        frozenset(intervals),
        frozenset(adjustments),
        extended_hours=extended,
        oldest_seconds=oldest,
        earliest_ns=None if earliest is None else ns(earliest),
    )


def need(
    interval: Interval = D1,
    adjustment: Adjustment = SPLIT,
    *,
    kind: AssetClass = EQUITY,
    hours: TradingHours = REGULAR,
    stretch: Span | None = None,
) -> Need:
    """Want something of a vendor."""
    recent = span("2024-05-20", "2024-06-03")
    return Need(kind, interval, adjustment, hours, stretch or recent, NOW)


VANTAGE = (
    offer({D1, W1, MO1}, {RAW}),
    offer({M1, M5, M15, M30}, {RAW, BOTH}, extended=True),
    offer({D1, W1, MO1}, {RAW}, {FX, CRYPTO}),
)
YAHOO = (
    offer({D1, W1, MO1}, {SPLIT}),
    offer({M1}, {SPLIT}, extended=True, oldest=30 * DAY),
    offer({M5, M15, M30}, {SPLIT}, extended=True, oldest=60 * DAY),
    offer({H1}, {SPLIT}, extended=True, oldest=730 * DAY),
    offer({D1}, {RAW}, {INDEX}),
)


@pytest.mark.parametrize(
    ("capabilities", "wanted", "interval", "adjustment", "derivation"),
    [
        (VANTAGE, need(D1, RAW), D1, RAW, ""),
        (VANTAGE, need(D1, SPLIT), D1, RAW, "split prices computed from raw prices"),
        (
            VANTAGE,
            need(D1, BOTH),
            D1,
            RAW,
            "split_dividend prices computed from raw prices",
        ),
        (VANTAGE, need(W1, RAW), W1, RAW, ""),
        (
            VANTAGE,
            need(W1, SPLIT),
            D1,
            RAW,
            "split prices computed from raw prices, 1w bars summed up from 1d bars",
        ),
        (VANTAGE, need(M30, BOTH), M30, BOTH, ""),
        (VANTAGE, need(H1, RAW), M30, RAW, "1h bars summed up from 30m bars"),
        (VANTAGE, need(W1, RAW, kind=FX), W1, RAW, ""),
        (YAHOO, need(D1, SPLIT), D1, SPLIT, ""),
        (YAHOO, need(D1, RAW), D1, SPLIT, "raw prices computed from split prices"),
        (
            YAHOO,
            need(MO1, RAW),
            D1,
            SPLIT,
            "raw prices computed from split prices, 1mo bars summed up from 1d bars",
        ),
        (YAHOO, need(W1, SPLIT), W1, SPLIT, ""),
        (YAHOO, need(H1, SPLIT), H1, SPLIT, ""),
        (YAHOO, need(H1, RAW), H1, SPLIT, "raw prices computed from split prices"),
        (YAHOO, need(H1, SPLIT, hours=EXTENDED), H1, SPLIT, ""),
        (YAHOO, need(W1, RAW, kind=INDEX), D1, RAW, "1w bars summed up from 1d bars"),
    ],
)
def test_the_shortest_way_is_taken(
    capabilities: tuple[Capability, ...],
    wanted: Need,
    interval: Interval,
    adjustment: Adjustment,
    derivation: str,
) -> None:
    assert recipe(capabilities, wanted) == Recipe(interval, adjustment, derivation)


@pytest.mark.parametrize(
    ("finer", "interval", "taken"),
    [
        ({M15}, M30, M15),
        ({M5}, M30, M5),
        ({M5, M15}, M30, M15),
        ({M5, M15}, H1, M15),
        ({M5}, H1, M5),
    ],
)
def test_bars_are_summed_up_from_the_longest_shorter_ones(
    finer: set[Interval], interval: Interval, taken: Interval
) -> None:
    found = recipe([offer(finer, {RAW})], need(interval, RAW))

    assert isinstance(found, Recipe)
    assert found.interval is taken


@pytest.mark.parametrize("interval", [M1, M5, M15, D1])
def test_short_bars_and_days_are_not_summed_up(interval: Interval) -> None:
    finer = set(Interval) - {
        interval,
        *list(Interval)[list(Interval).index(interval) :],
    }

    assert recipe([offer(finer, {RAW})], need(interval, RAW)) == Unable(
        f"no {interval} bars"
    )


@pytest.mark.parametrize(
    ("capabilities", "wanted", "reason"),
    [
        (VANTAGE, need(kind=FUTURE), "no future bars"),
        (VANTAGE, need(D1, RAW, kind=INDEX), "no index bars"),
        (YAHOO, need(M1, RAW, kind=INDEX), "no 1m bars"),
        (YAHOO, need(D1, SPLIT, kind=INDEX), "no split prices at 1d"),
        ((offer({W1}, {SPLIT}),), need(W1, RAW), "no raw prices at 1w"),
        ((offer({D1}, set()),), need(D1, RAW), "no raw prices at 1d"),
        (VANTAGE, need(H1, RAW, hours=EXTENDED), "no 1h bars"),
        (
            (offer({M5}, {RAW}),),
            need(M5, RAW, hours=EXTENDED),
            "no extended hours at 5m",
        ),
    ],
)
def test_what_is_lacking_is_said_in_words(
    capabilities: tuple[Capability, ...], wanted: Need, reason: str
) -> None:
    assert recipe(capabilities, wanted) == Unable(reason)


def test_days_have_no_extended_hours() -> None:
    assert isinstance(recipe(VANTAGE, need(D1, RAW, hours=EXTENDED)), Recipe)


def test_hours_without_extension_are_summed_up_on_markets_that_have_none() -> None:
    pairs = offer({M30}, {RAW}, {CRYPTO})

    found = recipe([pairs], need(H1, RAW, kind=CRYPTO, hours=EXTENDED))

    assert found == Recipe(M30, RAW, "1h bars summed up from 30m bars")


@pytest.mark.parametrize(
    ("interval", "end", "reason"),
    [
        (M1, "2024-05-04 12:00", "1m bars reach back only 30 days"),
        (M5, "2024-04-04 12:00", "5m bars reach back only 60 days"),
        (H1, "2022-06-01", "1h bars reach back only 730 days"),
    ],
)
def test_bars_that_are_too_old_are_refused_with_the_limit(
    interval: Interval, end: str, reason: str
) -> None:
    old = span("2020-01-01", end)

    assert recipe(YAHOO, need(interval, stretch=old)) == Unable(reason)


def test_a_span_that_is_old_in_part_is_served_in_part() -> None:
    half_old = span("2020-01-01", "2024-05-04 12:01")

    assert isinstance(recipe(YAHOO, need(M1, stretch=half_old)), Recipe)


def test_the_longest_reach_is_told() -> None:
    rows = [offer({M1}, {RAW}, oldest=7 * DAY), offer({M1}, {RAW}, oldest=30 * DAY)]

    found = recipe(rows, need(M1, RAW, stretch=span("2020-01-01", "2020-01-02")))

    assert found == Unable("1m bars reach back only 30 days")


def test_shorter_bars_may_reach_farther_back() -> None:
    rows = [offer({H1}, {RAW}, oldest=1 * DAY), offer({M30}, {RAW})]

    found = recipe(rows, need(H1, RAW, stretch=span("2020-01-01", "2020-01-02")))

    assert found == Recipe(M30, RAW, "1h bars summed up from 30m bars")


@pytest.mark.parametrize(
    ("end", "served"), [("2000-01-01", False), ("2000-01-01 00:01", True)]
)
def test_before_its_earliest_a_vendor_has_nothing(end: str, *, served: bool) -> None:
    rows = [offer({D1}, {RAW}, earliest="2000-01-01")]

    found = recipe(rows, need(D1, RAW, stretch=span("1990-01-01", end)))

    assert isinstance(found, Recipe) is served
    assert served or found == Unable("1d bars do not reach back so far")


def test_a_vendor_without_bars_says_so() -> None:
    assert recipe([], need()) == Unable("no equity bars")


def test_the_limit_is_judged_at_the_time_of_asking() -> None:
    then = NOW - 365 * int(DAY) * SECOND_NS
    recorded = Need(EQUITY, M1, SPLIT, REGULAR, Span(then - SECOND_NS, then), then)

    assert isinstance(recipe(YAHOO, recorded), Recipe)
