"""A 200 is not a success; keys stay secret."""

from __future__ import annotations

import logging

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from tests.port.house import UNMETERED, Build, House, attempts, pinned, served_by

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
KEY = "TOPSECRETKEY0042"

BODIES = [
    ("note", Code.RESOURCE_EXHAUSTED, "QUOTA_EXHAUSTED", "minute", (59, 61)),
    # NOON is 08:00 in New York, so its day turns 16 hours later.
    (
        "information_daily",
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXHAUSTED",
        "day",
        (57_000, 57_601),
    ),
    (
        "information_key",
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXHAUSTED",
        "day",
        (57_000, 57_601),
    ),
    (
        "information_burst",
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXHAUSTED",
        "second",
        (0.5, 2.0),
    ),
    (
        "information_premium",
        Code.FAILED_PRECONDITION,
        "ENTITLEMENT_MISSING",
        "",
        None,
    ),
    ("error_key", Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", "", None),
    ("error_message", Code.NOT_FOUND, "SYMBOL_UNKNOWN", "", None),
    ("html", Code.UNAVAILABLE, "MALFORMED_PAYLOAD", "", None),
    ("empty", Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED", "", None),
    ("truncated", Code.UNAVAILABLE, "MALFORMED_PAYLOAD", "", None),
    ("malformed", Code.UNAVAILABLE, "MALFORMED_PAYLOAD", "", None),
]
FAULTS = [row[0] for row in BODIES]
TRIED_AGAIN = {"html": 3}
"""How often in all; rubbish in a list of splits is found when the call is over."""


@pytest.mark.parametrize(("fault", "code", "reason", "window", "retry"), BODIES)
async def test_a_200_is_not_a_success(
    home: House,
    fault: str,
    code: Code,
    reason: str,
    window: str,
    retry: tuple[float, float] | None,
) -> None:
    await home.fault("alpha_vantage", fault)

    failed = await home.refused(
        symbol="MSFT", source_policy=pinned("alpha_vantage"), **MAY
    )

    assert (failed.code, failed.reason) == (code, reason)
    quota = failed.detail(error_details_pb2.QuotaFailure)
    if retry is None:
        assert failed.retry_seconds is None
        assert quota is None
    else:
        assert failed.retry_seconds is not None
        assert retry[0] <= failed.retry_seconds <= retry[1]
        assert failed.facts["window"] == window
        assert quota.violations[0].subject == "provider:alpha_vantage"


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_vendor_answers_and_the_attempt_says_why_it_had_to(
    home: House, fault: str
) -> None:
    reason = next(row[2] for row in BODIES if row[0] == fault)
    await home.fault("alpha_vantage", fault)

    answer = await home.fetch(symbol="MSFT", **MAY)

    assert served_by(answer) == ["yahoo"]
    assert len(answer.series.bars) == 22
    assert attempts(answer) == [("alpha_vantage", reason), ("yahoo", "")]
    assert answer.attempts[0].calls == TRIED_AGAIN.get(fault, 1)
    assert len(answer.attempts[0].reason) > len(reason) + 2


async def test_a_remark_beside_the_data_does_not_spoil_them(home: House) -> None:
    await home.fault("alpha_vantage", "information_beside")

    answer = await home.fetch(symbol="MSFT", **MAY)

    assert served_by(answer) == ["alpha_vantage"]
    assert len(answer.series.bars) == 22


async def test_an_unknown_symbol_is_told_from_a_failure(home: House) -> None:
    failed = await home.refused(symbol="NOSUCH", **MAY)

    assert (failed.code, failed.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")
    resource = failed.detail(error_details_pb2.ResourceInfo)
    assert resource.resource_name == "NOSUCH"
    assert failed.facts == {"symbol": "NOSUCH", "providers": "alpha_vantage,yahoo"}


async def test_unknown_is_not_said_while_a_vendor_that_may_know_is_down(
    home: House,
) -> None:
    await home.fault("yahoo", "status_500")

    failed = await home.refused(symbol="NOSUCH", **MAY)

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "ALL_PROVIDERS_FAILED")


async def test_silence_is_never_called_delisted(home: House) -> None:
    for vendor in ("alpha_vantage", "yahoo", "finnhub"):
        await home.fault(vendor, "empty")

    failed = await home.refused(symbol="MSFT", **MAY)

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED")
    assert "delisted" not in failed.message.lower()


async def test_rubbish_from_all_is_called_rubbish(home: House) -> None:
    await home.fault("alpha_vantage", "malformed")
    await home.fault("yahoo", "html")
    await home.fault("finnhub", "truncated")

    failed = await home.refused(symbol="MSFT", **MAY)

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")


async def test_a_key_that_a_vendor_repeats_is_shown_to_nobody(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {**UNMETERED, "PROVIDERS__ALPHA_VANTAGE__API_KEY": KEY}
    async with build(settings=settings) as home:
        for fault in (*FAULTS, "status_429"):
            await home.fault("alpha_vantage", fault)
            answer = await home.fetch(symbol="MSFT", **MAY)
            assert (await home.stats("alpha_vantage"))["faults"][fault] > 0
            request = {"source_policy": pinned("alpha_vantage"), "timeout": 1, **MAY}
            failed = await home.refused(symbol="MSFT", **request)
            batch = await home.batch(symbols=["MSFT"], **request)
            shown = f"{answer} {failed.message} {failed.status} {batch}"
            assert KEY not in shown, fault
            assert ("API key as ***" in shown) == (fault == "information_key")
            await home.mend("alpha_vantage")
            home.clock.advance(90_000)
    assert KEY not in caplog.text


async def test_a_key_stays_out_of_the_log_when_the_server_meets_a_defect(
    build: Build, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(
        "ingestion_server.providers.alpha_vantage.vendor.AlphaVantage.read_bars",
        broken,
    )
    async with build(settings={"PROVIDERS__ALPHA_VANTAGE__API_KEY": KEY}) as home:
        failed = await home.refused(symbol="MSFT", adjustment="ADJUSTMENT_RAW", **MAY)

    assert (failed.code, failed.reason) == (Code.INTERNAL, "INTERNAL")
    assert failed.facts["request_id"] in caplog.text
    assert "ZeroDivisionError" not in failed.message
    assert KEY not in f"{caplog.text} {failed.status}"
