"""Pinned means pinned."""

from __future__ import annotations

import pytest
from grpc import StatusCode as Code

from tests.port.house import Build, House, pinned, served_by

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
OTHER = {"alpha_vantage": "yahoo", "yahoo": "alpha_vantage"}

DOWN = (Code.UNAVAILABLE, "PINNED_PROVIDER_FAILED")
RUBBISH = (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")
SILENT = (Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED")
OUT = (Code.RESOURCE_EXHAUSTED, "QUOTA_EXHAUSTED")
UNKNOWN = (Code.NOT_FOUND, "SYMBOL_UNKNOWN")

CASES = [
    *(
        (vendor, fault, expected)
        for vendor in ("alpha_vantage", "yahoo")
        for fault, expected in (
            ("status_500", DOWN),
            ("html", RUBBISH),
            ("malformed", RUBBISH),
            ("truncated", RUBBISH),
            ("empty", SILENT),
            ("status_429", OUT),
        )
    ),
    ("alpha_vantage", "note", OUT),
    ("alpha_vantage", "information_daily", OUT),
    ("alpha_vantage", "information_key", OUT),
    ("alpha_vantage", "information_burst", OUT),
    (
        "alpha_vantage",
        "information_premium",
        (Code.FAILED_PRECONDITION, "ENTITLEMENT_MISSING"),
    ),
    ("alpha_vantage", "error_message", UNKNOWN),
    ("alpha_vantage", "error_key", (Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED")),
    ("yahoo", "not_found", UNKNOWN),
]


@pytest.mark.parametrize("adjustment", ["ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT"])
@pytest.mark.parametrize(("vendor", "fault", "expected"), CASES)
async def test_pinned_means_pinned(
    home: House,
    vendor: str,
    fault: str,
    expected: tuple[Code, str],
    adjustment: str,
) -> None:
    if (vendor, fault, adjustment) == ("yahoo", "empty", "ADJUSTMENT_RAW"):
        # What it takes to compute them is not there.
        expected = (Code.FAILED_PRECONDITION, "CAPABILITY_MISSING")
    await home.fault(vendor, fault)

    failed = await home.refused(
        symbol="MSFT",
        adjustment=adjustment,
        source_policy=pinned(vendor),
        **MAY,
    )

    assert (failed.code, failed.reason) == expected
    assert await home.calls(vendor) > 0
    assert await home.calls(OTHER[vendor]) == 0
    assert vendor in failed.message or failed.reason == "SYMBOL_UNKNOWN"


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_a_pinned_vendor_that_hangs_is_waited_for_and_not_replaced(
    home: House, vendor: str
) -> None:
    await home.fault(vendor, "hang")

    failed = await home.refused(
        symbol="MSFT", source_policy=pinned(vendor), timeout=0.5, **MAY
    )

    assert (failed.code, failed.reason) == (
        Code.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
    )
    assert await home.calls(OTHER[vendor]) == 0


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_a_pinned_vendor_that_hangs_past_its_own_time_has_failed(
    build: Build, vendor: str
) -> None:
    settings = {"TRANSPORT__CALL_SECONDS": "0.1", "RETRY__FIRST_SECONDS": "0.01"}
    async with build(settings=settings) as home:
        await home.fault(vendor, "hang")

        failed = await home.refused(symbol="MSFT", source_policy=pinned(vendor), **MAY)

        assert (failed.code, failed.reason) == DOWN
        assert await home.calls(vendor) == 3
        assert await home.calls(OTHER[vendor]) == 0


async def test_a_pinned_vendor_that_cannot_do_it_is_not_replaced(home: House) -> None:
    failed = await home.refused(
        symbol="^GSPC", source_policy=pinned("alpha_vantage"), **MAY
    )

    assert failed.code is Code.FAILED_PRECONDITION
    assert failed.reason == "CAPABILITY_MISSING"
    assert "alpha_vantage" in failed.facts
    assert await home.calls("yahoo") == 0


async def test_a_pinned_vendor_that_is_switched_off_is_not_replaced(
    build: Build,
) -> None:
    async with build(settings={"PROVIDERS__YAHOO__ENABLED": "false"}) as home:
        failed = await home.refused(symbol="MSFT", source_policy=pinned("yahoo"), **MAY)

        assert failed.code is Code.FAILED_PRECONDITION
        assert failed.reason == "CAPABILITY_MISSING"
        assert await home.calls("alpha_vantage") == 0


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_a_pinned_vendor_that_is_well_answers_alone(
    home: House, vendor: str
) -> None:
    answer = await home.fetch(symbol="MSFT", source_policy=pinned(vendor), **MAY)

    assert served_by(answer) == [vendor]
    assert await home.calls(OTHER[vendor]) == 0
