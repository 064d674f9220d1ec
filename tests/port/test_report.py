"""A report tells how well callers and vendors were served, restarts included."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import report_service_pb2, report_service_pb2_grpc

from ingestion_server.app.settings import load_settings
from tests.port.house import (
    NOON,
    Build,
    House,
    RefusedError,
    anew,
    ordered,
    pinned,
    until,
)
from tests.port.small_disks import mounted

OPEN = datetime(2024, 6, 12, 14, 0, tzinfo=UTC)
"""A Wednesday, half an hour after New York has opened."""
ALONE = {"REGISTRY__PROBE_SECONDS": "0", "PROVIDERS__YAHOO__PLAN": "unmetered"}
DAILY = {"interval": "INTERVAL_1_DAY", "limit": 5}


async def reported(
    home: House, **request: Any
) -> report_service_pb2.GetSlaReportResponse:
    """Ask for a report; the request is written as in JSON. Raises ``RefusedError``."""
    stub = report_service_pb2_grpc.ReportServiceStub(home.channel)
    message = json_format.ParseDict(request, report_service_pb2.GetSlaReportRequest())
    try:
        return await stub.GetSlaReport(message, timeout=20)
    except grpc.aio.AioRpcError as error:
        raise RefusedError(error) from error


async def refused(home: House, **request: Any) -> RefusedError:
    """Ask for what must be refused."""
    with pytest.raises(RefusedError) as caught:
        await reported(home, **request)
    return caught.value


def fetches(
    report: report_service_pb2.GetSlaReportResponse,
) -> report_service_pb2.ServiceLevel:
    """Return how fetches were served."""
    return next(
        (each.level for each in report.rpcs if each.rpc == "IngestionService/Fetch"),
        report_service_pb2.ServiceLevel(),
    )


def of_vendor(
    report: report_service_pb2.GetSlaReportResponse, name: str
) -> report_service_pb2.ServiceLevel:
    """Return how a vendor served."""
    (level,) = (each.level for each in report.providers if each.provider == name)
    return level


def told(moment: datetime) -> str:
    """Return a point in time as JSON has it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


async def test_calls_are_counted_timed_and_measured(build: Build) -> None:
    async with build(start=OPEN, settings=ALONE) as home:
        for _ in range(3):
            await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
        await home.refused(symbol="", **DAILY)

        report = await reported(home)

    level = fetches(report)
    assert (level.calls, level.answered, level.caller_faults) == (4, 3, 1)
    assert level.success_ratio == 1
    assert level.error_budget_left == 1
    assert level.objective == 0.999
    assert not level.failures
    p50, p95, longest = (
        each.ToTimedelta()
        for each in (level.latency.p50, level.latency.p95, level.latency.max)
    )
    assert timedelta(0) < p50 <= p95 <= longest < timedelta(seconds=20)
    assert level.market_hours_availability == 1
    assert report.overall.calls == 4
    assert report.overall.market_hours_availability == 1
    assert of_vendor(report, "yahoo").answered >= 3
    assert not report.incomplete_reason
    assert report.start.ToDatetime(UTC) == OPEN
    assert not report.downtimes


async def test_failures_spend_the_budget_and_are_told_by_reason(build: Build) -> None:
    async with build(start=OPEN, settings=ALONE) as home:
        await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
        await home.fault("yahoo", "status_500")
        for _ in range(3):
            await home.refused(**anew(DAILY), sourcePolicy=pinned("yahoo"))

        report = await reported(home, objective=0.5, providers=["yahoo"])

    level = fetches(report)
    assert level.failures["PINNED_PROVIDER_FAILED"] >= 1
    assert sum(level.failures.values()) == 3
    assert level.success_ratio == 0.25
    # Of four calls two may fail.
    assert level.error_budget_left == -0.5
    assert level.market_hours_availability == 0
    vendor = of_vendor(report, "yahoo")
    assert sum(vendor.failures.values()) >= 3
    assert vendor.success_ratio < 0.5
    assert [each.provider for each in report.providers] == ["yahoo"]


async def test_what_another_vendor_makes_up_for_counts_against_the_first_alone(
    build: Build,
) -> None:
    async with build(start=OPEN, settings=ALONE) as home:
        await home.fault("yahoo", "status_500")
        await home.fetch(**anew(DAILY), sourcePolicy=ordered("yahoo", "alpha_vantage"))

        report = await reported(home)

    assert fetches(report).success_ratio == 1
    assert of_vendor(report, "yahoo").success_ratio == 0
    assert of_vendor(report, "alpha_vantage").success_ratio == 1
    asked = [each.provider for each in report.providers]
    assert asked == ["alpha_vantage", "yahoo"]


async def test_an_unknown_symbol_is_no_fault_of_a_vendor(build: Build) -> None:
    async with build(start=OPEN, settings=ALONE) as home:
        await home.refused(symbol="NOPE", **DAILY, sourcePolicy=pinned("yahoo"))

        report = await reported(home)

    assert of_vendor(report, "yahoo").caller_faults >= 1
    assert not of_vendor(report, "yahoo").HasField("success_ratio")
    assert fetches(report).caller_faults == 1


async def test_it_survives_restarts_and_each_is_a_downtime(
    build: Build, tmp_path: Path
) -> None:
    kept = {**ALONE, "STATE__FOLDER": str(tmp_path)}
    for minutes in (0, 20, 50):
        start = OPEN + timedelta(minutes=minutes)
        async with build(start=start, settings=kept) as home:
            await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
            home.clock.advance(61)
            report = await reported(home)

    assert fetches(report).calls == 3
    assert of_vendor(report, "yahoo").answered >= 3
    down = [
        (each.end.ToDatetime() - each.start.ToDatetime()) // timedelta(minutes=1)
        for each in report.downtimes
    ]
    assert down == [18, 28]
    # It ran in the minutes 0, 20 and 50, and has run in 51 so far.
    assert report.overall.market_hours_availability == 4 / 52


async def test_only_what_is_within_the_window_counts(
    build: Build, tmp_path: Path
) -> None:
    kept = {**ALONE, "STATE__FOLDER": str(tmp_path)}
    for minutes in (0, 20, 50):
        start = OPEN + timedelta(minutes=minutes)
        async with build(start=start, settings=kept) as home:
            await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
            if minutes == 50:
                report = await reported(
                    home,
                    start=told(OPEN + timedelta(minutes=10)),
                    end=told(OPEN + timedelta(minutes=30)),
                )

    assert fetches(report).calls == 1
    assert report.start.ToDatetime(UTC) == OPEN + timedelta(minutes=10)
    assert report.end.ToDatetime(UTC) == OPEN + timedelta(minutes=30)
    assert len(report.downtimes) == 2


async def test_an_end_in_a_far_future_is_now(build: Build, tmp_path: Path) -> None:
    kept = {**ALONE, "STATE__FOLDER": str(tmp_path)}
    async with build(start=OPEN, settings=kept) as home:
        await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
    async with build(start=OPEN + timedelta(minutes=5), settings=kept) as home:
        report = await reported(
            home, start=told(OPEN), end=told(datetime.max.replace(tzinfo=UTC))
        )

    assert not report.incomplete_reason
    assert fetches(report).calls == 1
    assert report.end.ToDatetime(UTC) == OPEN + timedelta(minutes=6)


async def test_a_machine_that_slept_was_down(build: Build) -> None:
    async with build(start=OPEN, settings=ALONE) as home:
        await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
        home.clock.advance(3_600)
        await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))

        report = await reported(home)

    assert fetches(report).calls == 2
    (down,) = report.downtimes
    slept = down.end.ToDatetime() - down.start.ToDatetime()
    assert timedelta(minutes=55) < slept <= timedelta(minutes=61)


async def test_an_exchange_that_is_closed_tells_nothing_of_availability(
    build: Build,
) -> None:
    async with build(start=NOON, settings=ALONE) as home:
        report = await reported(home)

    assert not report.overall.HasField("market_hours_availability")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"start": "2030-01-01T00:00:00Z"}, "start"),
        ({"start": told(OPEN), "end": told(OPEN)}, "end"),
        ({"start": "0001-01-01T00:00:00Z"}, "start"),
        ({"end": "1969-12-31T23:59:59Z"}, "end"),
        ({"providers": ["nobody"]}, "providers"),
        ({"providers": [""]}, "providers"),
        ({"objective": 1}, "objective"),
        ({"objective": -0.1}, "objective"),
        ({"objective": "NaN"}, "objective"),
    ],
)
async def test_what_is_wrong_is_named(
    build: Build, request_: dict[str, Any], field: str
) -> None:
    async with build(start=OPEN + timedelta(seconds=1), settings=ALONE) as home:
        refusal = await refused(home, **request_)

    assert refusal.reason == "INVALID_QUERY"
    assert refusal.fields == {field}


async def test_a_full_disk_disturbs_nobody_and_is_told_until_there_is_room(
    build: Build, tmp_path: Path
) -> None:
    disk = tmp_path / "disk" / "reports"
    kept = {
        **ALONE,
        "STATE__FOLDER": str(tmp_path / "disk"),
        "REPORT__WRITE_SECONDS": "1",
    }
    with mounted(disk, size="1m"):
        ballast = disk / "ballast"

        def fill() -> None:
            # What does not fit is tried again when it is closed.
            with suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()

        async with build(start=OPEN, settings=kept) as home:
            await asyncio.to_thread(fill)
            await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))

            async def complains() -> bool:
                return "full" in (await reported(home)).incomplete_reason

            await until(complains)
            answer = await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
            assert answer.series.bars
            assert fetches(await reported(home)).calls == 2

            await asyncio.to_thread(ballast.unlink)

            async def is_well() -> bool:
                return not (await reported(home)).incomplete_reason

            await until(is_well)

        later = OPEN + timedelta(minutes=5)
        async with build(start=later, settings=kept) as home:
            assert fetches(await reported(home)).calls == 2


async def test_a_file_that_is_no_database_is_told_and_keeps_nobody_waiting(
    build: Build, tmp_path: Path
) -> None:
    folder = tmp_path / "reports" / "simulated"
    await asyncio.to_thread(folder.mkdir, parents=True)
    await asyncio.to_thread(
        (folder / "reports.sqlite").write_bytes, b"no database" * 99
    )
    kept = {**ALONE, "STATE__FOLDER": str(tmp_path)}

    async with build(start=OPEN, settings=kept) as home:
        await home.fetch(**anew(DAILY), sourcePolicy=pinned("yahoo"))
        report = await reported(home)

    assert fetches(report).calls == 1
    assert "is not a database" in report.incomplete_reason


def test_the_settings_say_what_is_promised() -> None:
    chosen = load_settings(
        config_file=None, environ={"INGESTION_REPORT__OBJECTIVE": "0.99"}
    )

    assert chosen.report.objective == 0.99
