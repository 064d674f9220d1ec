"""When a call fits all windows together."""

from __future__ import annotations

from ingestion_server.ports.provider import Window
from ingestion_server.quota.admission import LONG_AGO, Outlook, Turn, admit, waits
from ingestion_server.quota.meters import Instant, meter
from tests.quota.vendors import MINUTE, SECOND

NOW = Instant(0.0, 1_736_519_400_000_000_000)


def test_without_windows_a_call_fits_at_once() -> None:
    assert waits([], LONG_AGO, NOW) == Turn(0.0, "")


def test_the_window_that_is_free_last_is_named() -> None:
    meters = [meter(MINUTE, 0.0), meter(SECOND, 0.0)]
    for second in range(4):
        admit(meters, NOW.at(float(second)))
    assert waits(meters, LONG_AGO, NOW.at(3.0)) == Turn(4.0, "second")

    admit(meters, NOW.at(4.0))

    assert waits(meters, LONG_AGO, NOW.at(4.0)) == Turn(60.0, "minute")


def test_nothing_leaves_during_a_ban() -> None:
    assert waits([meter(MINUTE, 0.0)], Turn(300.0, "unpublished"), NOW) == Turn(
        300.0, "unpublished"
    )


def test_a_turn_that_falls_just_before_midnight_waits_for_midnight() -> None:
    day = Window("day", 25, 86_400.0, "America/New_York")
    meters = [meter(MINUTE, 0.02), meter(day, 0.02)]
    midnight = NOW.wall_ns + int(14.5 * 3600 * 1e9)
    # The minute is free again 10 ms before midnight.
    moment = Instant(0.0, midnight - 60_030_000_000)
    for _ in range(5):
        admit(meters, moment)

    turn = waits(meters, LONG_AGO, moment)

    assert turn.window == "day"
    assert abs(turn.at_seconds - 60.05) < 1e-6


def test_an_outlook_gives_each_call_of_a_queue_its_own_turn() -> None:
    meters = [meter(Window("pair", 2, 10.0), 0.0)]
    outlook = Outlook(meters, LONG_AGO)

    turns = [outlook.book(NOW).at_seconds for _ in range(5)]

    assert turns == [0.0, 0.0, 10.0, 10.0, 20.0]
    assert outlook.next_turn(NOW) == Turn(20.0, "pair")
    assert meters[0].used(NOW) == 0
