"""QuotaService on a real port, before a ledger that says what it is told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    quota_pb2,
    quota_service_pb2,
    quota_service_pb2_grpc,
)

from ingestion_server.ports.quota import Lane, Planned
from ingestion_server.service.admission import Door
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.service.ledgers import FakeLedger, alert
from tests.service.refusals import fields, reason, refused

NOW = NOW_NS // SECOND_NS
Stub = quota_service_pb2_grpc.QuotaServiceStub
Messages = AsyncIterator[quota_service_pb2.WatchQuotasResponse]
List = quota_service_pb2.ListQuotasRequest
Watch = quota_service_pb2.WatchQuotasRequest
Forecast = quota_service_pb2.ForecastQuotaRequest
Plan = quota_service_pb2.PlannedCalls


async def test_every_field_of_a_window_reaches_the_wire(stub: Stub) -> None:
    answer = await stub.ListQuotas(List(providers=["alpha_vantage"]))

    second, day = answer.windows
    assert second.name == "second"
    assert day == quota_pb2.QuotaWindow(
        provider="alpha_vantage",
        plan="free",
        scope=quota_pb2.QUOTA_SCOPE_KEY,
        name="day",
        kind=quota_pb2.QUOTA_WINDOW_KIND_FIXED,
        limit=25,
        used=20,
        reserved=2,
        remaining=3,
        resets_at=Timestamp(seconds=NOW + 3_600),
        tracked=True,
        source=quota_pb2.QUOTA_SOURCE_HEADER,
        length=Duration(seconds=86_400),
        reset_zone="America/New_York",
        counts=quota_pb2.QUOTA_COUNTS_CALLS,
        kept_for_interactive=3,
    )
    assert answer.as_of == Timestamp(seconds=NOW)


async def test_nothing_is_invented_where_a_vendor_publishes_no_number(
    stub: Stub,
) -> None:
    answer = await stub.ListQuotas(List(providers=["yahoo"]))

    (pace,) = answer.windows
    assert not pace.tracked
    assert not pace.HasField("limit")
    assert not pace.HasField("remaining")
    assert (pace.own_limit, pace.used) == (2, 1)
    assert pace.free_at == Timestamp(seconds=NOW + 1)


async def test_all_vendors_are_listed_in_order_with_what_they_cost(stub: Stub) -> None:
    answer = await stub.ListQuotas(List())

    assert [(one.provider, one.name) for one in answer.windows] == [
        ("alpha_vantage", "second"),
        ("alpha_vantage", "day"),
        ("yahoo", "second"),
    ]
    assert list(answer.providers) == [
        quota_pb2.QuotaProvider(
            provider="alpha_vantage",
            plan="free",
            waiting_batch=3,
            spend=quota_pb2.QuotaSpend(
                month="2025-01",
                units=1_200,
                allowance_units=1_000,
                price_per_unit_usd=0.002,
                flat_usd=29,
                metered_usd=0.4,
                total_usd=29.4,
                projected_usd=30.2,
            ),
        ),
        quota_pb2.QuotaProvider(
            provider="yahoo",
            plan="unofficial",
            closed_until=Timestamp(seconds=NOW + 30),
            closed_reason="429",
            waiting_interactive=2,
            spend=answer.providers[1].spend,
        ),
    ]


async def test_forecasts_are_in_the_order_of_the_list(stub: Stub) -> None:
    answer = await stub.ForecastQuota(Forecast())

    assert [(one.window.provider, one.window.name) for one in answer.windows] == [
        ("alpha_vantage", "second"),
        ("alpha_vantage", "day"),
        ("yahoo", "second"),
    ]
    assert answer.windows[0].rate_per_second == 0.5
    assert answer.windows[0].by_time_of_day
    assert answer.windows[0].expected_until_reset == 7
    assert answer.windows[0].exhausts_at == Timestamp(seconds=NOW + 60)
    assert answer.as_of == Timestamp(seconds=NOW)
    assert not answer.planned


async def test_planned_calls_are_foreseen(stub: Stub, ledger: FakeLedger) -> None:
    request = Forecast(
        providers=["yahoo"],
        planned=[
            Plan(provider="alpha_vantage", calls=5),
            Plan(
                provider="yahoo",
                endpoint="chart",
                calls=100_000,
                priority=ingestion_service_pb2.PRIORITY_INTERACTIVE,
                finish_by=Timestamp(seconds=NOW, nanos=5),
            ),
        ],
    )

    answer = await stub.ForecastQuota(request)

    assert ledger.planned == [
        Planned(provider="alpha_vantage", calls=5),
        Planned(
            provider="yahoo",
            endpoint="chart",
            calls=100_000,
            lane=Lane.INTERACTIVE,
            finish_by_ns=NOW_NS + 5,
        ),
    ]
    assert [one.window.provider for one in answer.windows] == ["yahoo"]
    assert answer.planned[0] == quota_pb2.QuotaPlanForecast(
        provider="alpha_vantage",
        fits=1,
        will_not_finish=4,
        held_by="day",
        cost_usd=0.5,
    )


async def test_every_wrong_field_of_a_forecast_is_named(
    stub: Stub, ledger: FakeLedger
) -> None:
    planned = [
        Plan(calls=100_001, priority=9),
        Plan(provider="nobody", calls=0, finish_by=Timestamp(nanos=-1)),
        Plan(provider="yahoo", calls=1, finish_by=Timestamp(seconds=-1)),
        *[Plan(provider="yahoo", calls=1)] * 18,
    ]

    error = await refused(
        stub.ForecastQuota(Forecast(providers=["nobody"], planned=planned))
    )

    there = "'nobody' is not known or switched off; there are: alpha_vantage, yahoo"
    assert reason(error) == "INVALID_QUERY"
    assert fields(error) == [
        ("providers", there),
        ("planned", "has 21 entries; one call takes 20"),
        ("planned[0].provider", "names no vendor"),
        ("planned[0].calls", "100001 is not from 1 to 100000"),
        ("planned[0].priority", "9 is not a value of this enum"),
        ("planned[1].provider", there),
        ("planned[1].calls", "0 is not from 1 to 100000"),
        ("planned[1].finish_by", "has nanos outside of [0, 999999999]"),
        ("planned[2].finish_by", "is not from 1970 to 9999"),
    ]
    assert ledger.planned == []


async def test_vendors_that_are_not_there_are_named(
    stub: Stub, ledger: FakeLedger
) -> None:
    ledger.accounts.clear()

    error = await refused(stub.ListQuotas(List(providers=["b", "a", "b"])))

    assert fields(error) == [
        ("providers", "'b' is not known or switched off; there are: none"),
        ("providers", "'a' is not known or switched off; there are: none"),
    ]


@pytest.mark.parametrize(
    ("interval", "complaint"),
    [
        (Duration(seconds=-1), "must not be negative"),
        (Duration(nanos=-1), "must not be negative"),
        (Duration(seconds=315_576_000_001), "is no valid Duration"),
        (Duration(nanos=1_000_000_000), "is no valid Duration"),
    ],
)
async def test_an_interval_that_is_none_is_refused(
    stub: Stub, interval: Duration, complaint: str
) -> None:
    call = stub.WatchQuotas(Watch(providers=["nobody"], min_interval=interval))

    error = await refused(anext(aiter(call)))

    assert [field for field, _ in fields(error)] == ["providers", "min_interval"]
    assert fields(error)[1] == ("min_interval", complaint)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        (None, 1.0),
        (Duration(), 0.05),
        (Duration(nanos=50_000_001), 0.050000001),
        (Duration(seconds=90), 90.0),
        (Duration(seconds=315_576_000_000), 3_600.0),
    ],
)
async def test_an_interval_is_kept_within_reason(
    stub: Stub, ledger: FakeLedger, interval: Duration | None, seconds: float
) -> None:
    call = stub.WatchQuotas(Watch(min_interval=interval))

    await anext(aiter(call))

    assert await ledger.waits.get() == pytest.approx(seconds)
    call.cancel()


async def watched(stub: Stub, ledger: FakeLedger, **request) -> Messages:
    """Watch, until the first message is there and the watcher waits for more."""
    messages = aiter(stub.WatchQuotas(Watch(**request), timeout=20))
    await anext(messages)
    await ledger.waits.get()
    return messages


async def test_the_first_message_has_everything(stub: Stub, ledger: FakeLedger) -> None:
    await ledger.alarm(*map(alert, range(1, 151)))
    call = stub.WatchQuotas(Watch())

    first = await anext(aiter(call))

    assert len(first.windows) == 3
    assert len(first.providers) == 2
    assert [one.number for one in first.alerts] == list(range(51, 151))
    assert first.alerts[0] == quota_pb2.QuotaAlert(
        number=51,
        kind=quota_pb2.QUOTA_ALERT_KIND_USED_80_PERCENT,
        provider="alpha_vantage",
        window="day",
        used=20,
        limit=25,
        at=Timestamp(seconds=NOW),
        detail="careful",
    )
    assert first.as_of == Timestamp(seconds=NOW)
    call.cancel()


async def test_only_what_has_changed_is_told_and_not_before_its_time(
    stub: Stub, ledger: FakeLedger, clock: ManualClock
) -> None:
    messages = await watched(stub, ledger, min_interval=Duration(seconds=5))
    ledger.use("alpha_vantage", used=21)

    await clock.advance(5)
    second = await anext(messages)

    assert [(one.name, one.used) for one in second.windows] == [("day", 21)]
    assert not second.providers
    assert not second.alerts
    assert second.as_of == Timestamp(seconds=NOW + 5)


async def test_nothing_is_told_while_nothing_changes(
    stub: Stub, ledger: FakeLedger, clock: ManualClock
) -> None:
    messages = await watched(stub, ledger)
    for _ in range(3):
        await clock.advance(1)
        assert await ledger.waits.get() == 1.0
    ledger.account("yahoo", waiting={Lane.BATCH: 1})

    await clock.advance(1)
    second = await anext(messages)

    assert second.as_of == Timestamp(seconds=NOW + 4)
    assert [one.waiting_batch for one in second.providers] == [1]
    assert not second.windows


async def test_a_change_after_a_long_silence_is_told_soon(
    stub: Stub, ledger: FakeLedger, clock: ManualClock
) -> None:
    messages = await watched(stub, ledger, min_interval=Duration(seconds=3_600))
    await clock.advance(3_600)
    assert await ledger.waits.get() == 1.0
    ledger.use("yahoo", used=2)

    await clock.advance(1)

    assert (await anext(messages)).as_of == Timestamp(seconds=NOW + 3_601)


async def test_an_alert_is_told_at_once_with_what_has_changed(
    stub: Stub, ledger: FakeLedger
) -> None:
    messages = await watched(stub, ledger)
    ledger.use("alpha_vantage", used=23)

    await ledger.alarm(alert(1))
    second = await anext(messages)

    assert [one.number for one in second.alerts] == [1]
    assert [one.used for one in second.windows] == [23]
    assert second.as_of == Timestamp(seconds=NOW)


async def test_an_alert_is_told_once(
    stub: Stub, ledger: FakeLedger, clock: ManualClock
) -> None:
    messages = await watched(stub, ledger)
    await ledger.alarm(alert(1))
    await anext(messages)
    await ledger.waits.get()
    ledger.use("alpha_vantage", used=23)

    await clock.advance(1)

    assert not (await anext(messages)).alerts


async def test_who_watches_one_vendor_hears_nothing_of_others(
    stub: Stub, ledger: FakeLedger
) -> None:
    messages = await watched(stub, ledger, providers=["yahoo"])
    ledger.use("alpha_vantage", used=23)
    await ledger.alarm(alert(1))
    assert await ledger.waits.get() == 1.0
    ledger.use("yahoo", used=2)
    await ledger.alarm(alert(2, "yahoo"))

    second = await anext(messages)

    assert [one.number for one in second.alerts] == [2]
    assert [one.provider for one in second.windows] == ["yahoo"]


async def test_a_watcher_takes_no_place_of_a_call(
    stub: Stub, ledger: FakeLedger
) -> None:
    await watched(stub, ledger)

    answer = await stub.ListQuotas(List())

    assert len(answer.windows) == 3


async def test_too_many_watchers_are_refused(stub: Stub, ledger: FakeLedger) -> None:
    # Kept, since a call that nobody holds is cancelled.
    kept = [await watched(stub, ledger), await watched(stub, ledger)]

    error = await refused(anext(aiter(stub.WatchQuotas(Watch()))))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(error) == "CALLER_THROTTLED"
    assert error.details() == "2 calls watch, which is the most"
    del kept


async def test_who_stops_watching_makes_room(stub: Stub, ledger: FakeLedger) -> None:
    for _ in range(5):
        call = stub.WatchQuotas(Watch(), wait_for_ready=True)
        await anext(aiter(call))
        await ledger.waits.get()
        call.cancel()
        await ledger.left.get()

    await watched(stub, ledger)


async def test_a_server_that_stops_sends_watchers_away(
    stub: Stub, ledger: FakeLedger, door: Door
) -> None:
    messages = await watched(stub, ledger)

    door.close()
    async with asyncio.timeout(5):
        await door.left()
        error = await refused(anext(messages))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(error) == "SERVER_STOPPING"
    # Another server may answer, so a client may try again.
    assert "grpc-retry-pushback-ms" not in dict(error.trailing_metadata() or ())


@pytest.mark.parametrize("method", ["ListQuotas", "ForecastQuota", "WatchQuotas"])
async def test_a_server_that_stops_lets_nobody_in(
    stub: Stub, door: Door, method: str
) -> None:
    door.close()
    requests = {"ListQuotas": List, "ForecastQuota": Forecast, "WatchQuotas": Watch}

    call = getattr(stub, method)(requests[method]())
    error = await refused(anext(aiter(call)) if method == "WatchQuotas" else call)

    assert reason(error) == "SERVER_STOPPING"


async def test_a_defect_of_the_ledger_ends_a_watch_with_its_id(
    stub: Stub, ledger: FakeLedger, clock: ManualClock
) -> None:
    messages = await watched(stub, ledger)
    ledger.use("alpha_vantage", resets_at_ns=math.nan)

    await clock.advance(1)
    error = await refused(anext(messages))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert reason(error) == "INTERNAL"
