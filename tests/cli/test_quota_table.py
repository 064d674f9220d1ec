"""The table of quotas is honest, and fits 80 columns."""

from __future__ import annotations

import dataclasses
import io
from datetime import timedelta

import pytest
from marketdata.ingestion.v1 import quota_pb2, quota_service_pb2
from rich.console import Console

from ingestion_server.cli import quota_table
from ingestion_server.cli.frame import Frame
from ingestion_server.client.quotas import (
    QuotaWindow,
    changes_from,
    forecast_from,
    quotas_from,
)
from tests.client.fakes import (
    FIRST,
    changes,
    forecast,
    own_pace,
    quota_alert,
    quota_provider,
    quota_window,
    quotas,
    stamp,
)

NOTHING = quota_service_pb2.ForecastQuotaResponse(as_of=stamp(FIRST))


def shown(
    told: quota_service_pb2.ListQuotasResponse,
    foreseen: quota_service_pb2.ForecastQuotaResponse = NOTHING,
    *,
    width: int = 80,
    **more,
) -> str:
    """Print quotas on paper of 80 columns."""
    file = io.StringIO()
    Console(file=file, width=width).print(
        quota_table.drawn(
            quotas_from(told), forecast_from(foreseen), Frame(width=width, **more)
        )
    )
    return file.getvalue()


def of(*windows: quota_pb2.QuotaWindow, **more) -> quota_service_pb2.ListQuotasResponse:
    """Tell of some windows."""
    return quota_service_pb2.ListQuotasResponse(
        windows=windows, as_of=stamp(FIRST), **more
    )


def window(**facts) -> QuotaWindow:
    """Make a window as the client does."""
    return quotas_from(of(quota_window(**facts))).windows[0]


def row(text: str, name: str) -> list[str]:
    """Return the cells of the first row that holds a name."""
    return next(line.split() for line in text.splitlines() if name in line)


def test_a_row_tells_all_of_a_window() -> None:
    text = shown(quotas(), forecast(), width=100)

    assert row(text, "day") == [
        *["alpha_vantage", "free", "day", "█" * 24 + "▒▒" + "░░░░", "20+2/25"],
        *["9h", "30m", "12/min", "40m"],
    ]


def test_a_vendor_without_numbers_shows_our_own_pace_and_no_bar() -> None:
    text = shown(of(own_pace()))

    cells = ["yahoo", "unofficial", "second", "own", "pace", "2", "1/?"]
    assert row(text, "second") == cells
    assert "█" not in text.partition("used  ▒")[0].rpartition("\n")[0]


def test_a_pace_that_is_not_told_is_not_invented() -> None:
    pace = own_pace()
    pace.ClearField("own_limit")

    assert "own pace " in shown(of(pace))
    assert "None" not in shown(of(pace))


def test_a_window_that_does_not_run_out_before_it_resets_has_a_dash() -> None:
    foreseen = forecast()
    foreseen.windows[0].ClearField("exhausts_at")

    assert row(shown(quotas(), foreseen), "day")[-1] == "-"


def test_what_is_over_already_is_now() -> None:
    told = of(quota_window(used=25, reserved=0, remaining=0))
    text = shown(told, forecast(), age_seconds=3_600)

    assert row(text, "day")[-1] == "now"
    assert "Quotas at 2025-01-06 01:00:00 UTC" in text


@pytest.mark.parametrize(
    ("used", "end"), [(0, "12/min"), (1, "12/min"), (2, "now"), (3, "now")]
)
def test_a_moment_that_has_passed_is_not_told_where_something_remains(
    used: int, end: str
) -> None:
    foreseen = forecast()
    foreseen.windows[0].window.CopyFrom(own_pace())
    pace = own_pace()
    pace.used = used

    paced = shown(of(pace), foreseen, age_seconds=2_400)
    before = shown(quotas(), forecast(), age_seconds=2_399)
    after = shown(quotas(), forecast(), age_seconds=2_400)

    assert row(paced, "second")[-1] == end
    assert row(before, "day")[-1] == "1s"
    assert row(after, "day")[-1] == "12/min"


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(milliseconds=1), "1s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=12, seconds=5), "12m 5s"),
        (timedelta(hours=9), "9h"),
        (timedelta(hours=9, seconds=59), "9h"),
        (timedelta(days=12, hours=4, minutes=59), "12d 4h"),
    ],
)
def test_times_are_told_in_their_two_largest_units(away: timedelta, text: str) -> None:
    told = of(quota_window(resets_at=stamp(FIRST + away)))

    assert f" {text}  " in shown(told)


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0"),
        (1e-9, "<1/d"),
        (2 / 86_400, "2/d"),
        (3.46 / 3_600, "3.5/h"),
        (12 / 60, "12/min"),
        (123.4, "123/s"),
    ],
)
def test_rates_are_told_in_the_unit_that_suits_them(
    per_second: float, text: str
) -> None:
    foreseen = forecast()
    foreseen.windows[0].rate_per_second = per_second

    assert row(shown(quotas(), foreseen), "day")[-2] == text


@pytest.mark.parametrize(
    ("used", "reserved", "kept", "picture"),
    [
        (0, 0, 0, "··········"),
        (1, 0, 0, "█·········"),
        (0, 1, 0, "▒·········"),
        (999, 0, 0, "█████████·"),
        (1_000, 0, 0, "██████████"),
        (1_200, 0, 100, "██████████"),
        (500, 300, 100, "█████▒▒▒·░"),
        (500, 300, 500, "█████▒▒▒░░"),
    ],
)
def test_a_bar_is_full_only_if_all_is_used_and_empty_only_if_nothing_is(
    used: int, reserved: int, kept: int, picture: str
) -> None:
    told = window(limit=1_000, used=used, reserved=reserved, kept_for_interactive=kept)

    assert quota_table.bar(told, 10).plain == picture


def test_a_vendor_that_allows_nothing_has_a_bar_all_the_same() -> None:
    assert quota_table.bar(window(limit=0, used=0, reserved=0), 4).plain == "░░░░"


@pytest.mark.parametrize(
    ("used", "colour"), [(77, "green"), (78, "yellow"), (92, "yellow"), (93, "red")]
)
def test_colours_tell_how_close_the_limit_is(used: int, colour: str) -> None:
    told = window(limit=100, used=used, reserved=2)

    assert quota_table.bar(told, 10).spans[0].style == colour


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (9_999, "20+2/9999"),
        (10_000, "20+2/10k"),
        (99_999, "20+2/99.9k"),
        (123_456, "20+2/123k"),
        (1_000_000, "20+2/1M"),
        (2_345_678, "20+2/2.34M"),
    ],
)
def test_large_numbers_are_cut_to_three_digits(limit: int, text: str) -> None:
    assert text in shown(of(quota_window(limit=limit)))


def test_units_are_told_from_calls() -> None:
    text = shown(of(quota_window(counts=quota_pb2.QUOTA_COUNTS_UNITS)))

    assert "20+2/25*" in text
    assert "* units, not calls" in text
    assert "units" not in shown(of(quota_window()))


def test_80_columns_hold_the_longest_names() -> None:
    plan = {"plan": "premium_1200"}
    foreseen = forecast()
    foreseen.windows[0].window.name = "month"
    text = shown(
        of(
            quota_window(name="second", **plan),
            quota_window(name="minute", **plan),
            quota_window(name="month", **plan),
            own_pace(),
        ),
        foreseen,
    )

    lines = [line.rstrip() for line in text.splitlines()]
    columns = ["provider", "window", "used", "resets", "rate", "runs", "out"]
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == columns
    assert [line.split()[0] for line in lines[4:8]] == [
        "alpha_vantage",
        "premium_1200",
        "month",
        "yahoo",
    ]
    assert lines[8] == "unofficial"


def narrow(width: int) -> list[str]:
    """Return the lines of the longest names on narrow paper."""
    foreseen = forecast()
    foreseen.windows[0].window.name = "month"
    text = shown(
        of(
            quota_window(name="second", plan="premium_1200"),
            quota_window(name="month", plan="premium_1200"),
            own_pace(),
        ),
        foreseen,
        width=width,
    )
    assert max(map(len, text.splitlines())) <= width
    return [line.rstrip() for line in text.splitlines()]


def test_where_there_is_little_room_vendor_and_plan_have_their_own_line() -> None:
    lines = narrow(60)

    assert lines[2] == "alpha_vantage premium_1200"
    assert lines[3].split() == ["window", "used", "resets", "rate", "runs", "out"]
    assert lines[6].split()[-4:] == ["9h", "30m", "12/min", "40m"]
    assert "█" in lines[6]
    assert lines[7:9] == ["", "yahoo unofficial"]
    # What belongs together stands below each other.
    assert lines[9] == lines[3]
    assert lines[11].split() == ["second", "own", "pace", "2", "1/?"]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (50, "window used resets rate runs out"),
        (36, "window used resets runs out"),
        (28, "window used runs out"),
        (20, "window used"),
    ],
)
def test_names_and_numbers_are_the_last_to_go(width: int, columns: str) -> None:
    lines = narrow(width)

    heads = [line.split() for line in lines if line.startswith("window")]
    assert heads == [columns.split()] * 2
    assert " ".join(lines).count("alpha_vantage premium_1200") == 1
    assert "yahoo unofficial" in lines
    assert [line.split()[:2] for line in lines if "/" in line] == [
        ["second", "20+2/25"],
        ["month", "20+2/25"],
        ["second", "1/?"],
    ]


@pytest.mark.parametrize("width", [1, 5, 12])
def test_on_paper_that_is_too_narrow_for_anything_nothing_breaks(width: int) -> None:
    assert narrow(width)


def test_a_plan_that_is_longer_than_its_vendor_is_not_folded() -> None:
    for width in range(52, 80):
        assert "unofficial" in shown(of(own_pace()), width=width)


def test_what_a_vendor_costs_and_whom_it_keeps_waiting_stands_below() -> None:
    text = shown(of(quota_window(), providers=[quota_provider()]), width=200)

    assert (
        "alpha_vantage closed until 2025-01-06 00:00:28 UTC (429) · "
        "waiting calls: 3 interactive and 12 batch · "
        "$29.47 so far in 2025-01, $31.20 projected "
        "(1234 units of 1000, then $0.002 each)\n"
    ) in text


def test_a_vendor_that_costs_nothing_and_waits_for_nothing_has_no_line() -> None:
    free = quota_pb2.QuotaProvider(provider="yahoo", plan="unofficial")

    assert "yahoo" not in shown(of(quota_window(), providers=[free]))


def test_a_flat_price_is_told_without_units() -> None:
    flat = quota_pb2.QuotaProvider(
        provider="yahoo",
        spend=quota_pb2.QuotaSpend(
            month="2025-01", flat_usd=49.99, total_usd=49.99, projected_usd=49.99
        ),
    )

    text = shown(of(quota_window(), providers=[flat]))

    assert "yahoo $49.99 so far in 2025-01, $49.99 projected\n" in text


def test_a_vendor_that_opens_again_is_no_longer_closed() -> None:
    closed = quota_provider(closed_reason="")
    told = of(quota_window(), providers=[closed])

    assert "closed until 2025-01-06 00:00:28 UTC ·" in shown(told, width=200)
    assert "closed" not in shown(told, age_seconds=28, width=200)


def test_no_windows_are_said_to_be_none() -> None:
    assert shown(of()).splitlines()[2:] == ["no vendor is metered"]


def test_a_server_that_is_gone_vouches_only_for_what_it_told() -> None:
    text = shown(quotas(), forecast(), age_seconds=60, note="the server is gone")

    assert "Quotas at 2025-01-06 00:00:00 UTC" in text
    assert text.endswith("the server is gone\n")


def test_only_the_latest_alerts_are_shown() -> None:
    text = shown(quotas(), lines=[f"alert {number}" for number in range(9)])

    assert [line for line in text.splitlines() if line.startswith("alert")] == [
        f"alert {number}" for number in range(4, 9)
    ]


def test_an_alert_is_told_in_a_line() -> None:
    (told,) = changes_from(changes(alerts=[quota_alert()])).alerts
    bare = dataclasses.replace(told, kind="VIOLATION", window="", limit=0, detail="")
    newer = dataclasses.replace(bare, kind="99")

    lines = [quota_table.alert_line(each) for each in (told, bare, newer)]

    assert lines == [
        "2025-01-06 00:00:00 UTC alpha_vantage day: 80 % used (20/25); careful",
        "2025-01-06 00:00:00 UTC alpha_vantage: refused, although it fitted",
        "2025-01-06 00:00:00 UTC alpha_vantage: 99",
    ]


def test_words_of_vendors_are_no_markup() -> None:
    told = quota_provider(closed_reason="[/oops] [red]not[/]")

    text = shown(of(quota_window(), providers=[told]), width=200)

    assert "([/oops] [red]not[/])" in text


def test_small_prices_keep_their_digits() -> None:
    told = quota_provider()
    told.spend.price_per_unit_usd = 0.00001
    told.spend.total_usd = 0.5

    text = shown(of(quota_window(), providers=[told]), width=200)

    assert "$0.50 so far" in text
    assert "then $0.00001 each" in text
