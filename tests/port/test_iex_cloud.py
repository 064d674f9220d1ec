"""IEX Cloud through the port: off by default, and what it has once switched on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import grpc.aio
import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import (
    bar_pb2,
    provider_pb2,
    provider_service_pb2,
    quota_pb2,
)
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.app.mode import Mode
from tests.port.house import (
    TWO_VENDORS,
    Build,
    House,
    anew,
    budget,
    closes,
    pinned,
    served_by,
    times,
)
from tests.port.roster import route, vendor

ON = {"PROVIDERS__IEX_CLOUD__ENABLED": "true"}
PINNED = {"source_policy": pinned("iex_cloud")}
MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
DAYS = {"symbol": "AAPL", "interval": "INTERVAL_1_DAY", **MAY}
KEY = "sandbox-key"


def keyed(messages: int) -> Mapping[str, str]:
    """Return settings with a key that has fewer messages than the server thinks."""
    return ON | {"PROVIDERS__IEX_CLOUD__API_KEY": f"test-{messages}"}


async def counted(home: House, key: str = KEY) -> int:
    """Return how many messages the simulated vendor has counted this month."""
    url = f"{home.sandbox_url}/stable/account/usage?token={key}"
    async with home.web.get(url) as reply:
        return int((await reply.json())["messages"]["monthlyUsage"])


async def both(home: House) -> tuple[int, int]:
    """Return what the vendor counted, and what ListQuotas tells."""
    return await counted(home), (await home.window("iex_cloud", "month")).used


async def test_it_is_listed_as_retired_and_off_and_takes_no_part(home: House) -> None:
    told = await vendor(home, "iex_cloud")
    routed = await route(home, **DAYS)

    assert told.lifecycle.stage == provider_pb2.ProviderLifecycle.STAGE_RETIRED
    assert told.lifecycle.since == "2024-08-31"
    assert not told.enabled
    assert told.unusable_reason == "the settings switch it off; retired on 2024-08-31"
    assert "iex_cloud" not in [each.provider for each in routed]
    assert ("iex_cloud", "month") not in await home.windows()


async def test_an_operator_who_wants_it_on_is_told_since_when_it_is_no_more(
    home: House,
) -> None:
    request = provider_service_pb2.UpdateProviderRequest(name="iex_cloud", enabled=True)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await home.providers.UpdateProvider(request, timeout=10)

    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert "retired on 2024-08-31" in (caught.value.details() or "")


async def test_a_question_for_it_alone_is_refused_without_a_call(home: House) -> None:
    failed = await home.refused(**DAYS, **PINNED)

    assert failed.code is Code.FAILED_PRECONDITION
    assert await home.calls("iex_cloud") == 0


async def test_switched_on_it_comes_last(build: Build) -> None:
    async with build(settings=ON) as home:
        routed = await route(home, **DAYS)

    assert [each.provider for each in routed][-1] == "iex_cloud"


@pytest.mark.parametrize("interval", ["INTERVAL_1_DAY", "INTERVAL_1_MINUTE"])
@pytest.mark.parametrize(
    "adjustment", ["ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT", "ADJUSTMENT_SPLIT_DIVIDEND"]
)
async def test_every_adjustment_agrees_with_that_of_another_vendor(
    build: Build, interval: str, adjustment: str
) -> None:
    request = {
        "symbol": "AAPL",
        "interval": interval,
        "adjustment": adjustment,
        "start": "2024-05-08T00:00:00Z",
        "end": "2024-05-14T00:00:00Z",
    }
    async with build(settings=ON) as home:
        ours = await home.fetch(**request, **PINNED)
        theirs = await home.fetch(**request, source_policy=pinned("alpha_vantage"))

    assert served_by(ours) == ["iex_cloud"]
    assert ours.completeness == truth.COMPLETENESS_COMPLETE
    assert ours.series.currency == "USD"
    assert times(ours) == times(theirs)
    assert closes(ours) == pytest.approx(closes(theirs), rel=1e-5)


async def test_days_are_as_they_are_and_weeks_are_summed_up(build: Build) -> None:
    async with build(settings=ON) as home:
        days = await home.fetch(**DAYS, **PINNED)
        weeks = await home.fetch(**DAYS | {"interval": "INTERVAL_1_WEEK"}, **PINNED)

    assert days.sources[0].derivation == ""
    assert "summed up" in weeks.sources[0].derivation


async def test_minutes_of_today_are_those_of_the_session_so_far(build: Build) -> None:
    async with build(settings=ON) as home:
        home.clock.advance(3 * 3600)
        answer = await home.fetch(
            symbol="MSFT",
            interval="INTERVAL_1_MINUTE",
            start="2024-06-12T00:00:00Z",
            end="2024-06-12T14:00:00Z",
            adjustment="ADJUSTMENT_RAW",
            **PINNED,
        )
        stats = await home.stats("iex_cloud")

    assert len(answer.series.bars) == 30
    assert stats["by_path"] == {"intraday-prices": 1}


async def test_a_day_that_is_going_on_is_told_as_it_stands(build: Build) -> None:
    async with build(settings=ON) as home:
        home.clock.advance(3 * 3600)
        answer = await home.fetch(symbol="MSFT", limit=3, **PINNED)

    assert times(answer)[-1] == "2024-06-12T00:00:00Z"
    assert answer.series.bars[-1].state == bar_pb2.BAR_STATE_PARTIAL


async def test_what_calls_cost_is_counted_as_the_vendor_counts_it(build: Build) -> None:
    async with build(settings=ON) as home:
        first = await both(home)
        await home.fetch(**DAYS, **PINNED)
        days = await both(home)
        await home.fetch(
            symbol="MSFT",
            interval="INTERVAL_1_MINUTE",
            start="2024-05-08T00:00:00Z",
            end="2024-05-10T00:00:00Z",
            adjustment="ADJUSTMENT_RAW",
            **PINNED,
        )
        minutes = await both(home)
        await home.quotes("AAPL", "MSFT", "IBM", **PINNED)
        quotes = await both(home)
        window = await home.window("iex_cloud", "month")

    # Thirty weekdays since the first of May, two days of minutes, three quotes.
    assert [first, days, minutes, quotes] == [
        (0, 0),
        (300,) * 2,
        (400,) * 2,
        (403,) * 2,
    ]
    assert window.counts == quota_pb2.QUOTA_COUNTS_UNITS
    assert window.limit == 5_000_000


async def test_a_chart_that_costs_more_than_was_thought_is_counted_so(
    build: Build,
) -> None:
    async with build(settings=ON) as home:
        await home.fault(
            "iex_cloud", "headers", headers={"iexcloud-messages-used": "1000"}
        )
        await home.fetch(**DAYS, **PINNED)

        assert (await home.window("iex_cloud", "month")).used == 1000


async def test_a_day_of_long_ago_does_not_cost_what_has_been_since(
    build: Build,
) -> None:
    async with build(settings=ON) as home:
        answer = await home.fetch(
            symbol="AAPL",
            start="2022-03-10T00:00:00Z",
            end="2022-03-12T00:00:00Z",
            **PINNED,
        )

        assert len(answer.series.bars) == 2
        assert await both(home) == (20, 20)


async def test_where_messages_have_a_price_a_chart_costs_by_its_bars(
    build: Build,
) -> None:
    settings = ON | budget("iex_cloud", price_per_unit_usd=0.001)
    dear = {"source_policy": pinned("iex_cloud") | {"max_cost_usd": 0.299}}
    async with build(settings=settings) as home:
        failed = await home.refused(**DAYS, **dear)
        before = await home.calls("iex_cloud")
        answer = await home.fetch(**DAYS, **PINNED)

    assert failed.reason == "COST_LIMIT_EXCEEDED"
    assert before == 0
    assert answer.attempts[0].cost_usd == pytest.approx(0.300)


async def test_its_messages_are_not_spent_on_probes(build: Build) -> None:
    async with build(settings=ON) as home:
        await home.fetch(**DAYS, **PINNED)
        for _ in range(3):
            home.clock.advance(600)
            await home.prober.look()

        assert await home.calls("iex_cloud") == 1


async def test_quotes_of_many_are_one_call(build: Build) -> None:
    async with build(settings=ON) as home:
        answer = await home.quotes("AAPL", "NONSUCH", "MSFT", **PINNED)
        calls = await home.calls("iex_cloud")

    told, nobody, other = answer.results
    assert calls == 1
    assert {told.provider, other.provider} == {"iex_cloud"}
    assert told.trade.price > 0
    assert told.previous_close > 0
    assert nobody.failure.reason == "SYMBOL_UNKNOWN"


async def test_a_quote_within_the_session_has_bid_and_ask(build: Build) -> None:
    async with build(settings=ON) as home:
        home.clock.advance(3 * 3600)
        answer = await home.quotes("AAPL", **PINNED)

    (result,) = answer.results
    assert result.quote.bid < result.trade.price < result.quote.ask


async def test_a_symbol_that_nobody_has_heard_of_is_unknown(build: Build) -> None:
    async with build(settings=ON) as home:
        failed = await home.refused(symbol="NONSUCH", **MAY, **PINNED)

    assert (failed.code, failed.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")
    assert failed.facts["symbol"] == "NONSUCH"


async def test_an_empty_list_does_not_say_that_nobody_has_heard_of_it(
    build: Build,
) -> None:
    async with build(settings=ON) as home:
        await home.fault("iex_cloud", "empty")
        failed = await home.refused(**DAYS, **PINNED)

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED")


async def test_when_the_vendor_says_that_the_budget_is_gone_nothing_leaves_any_more(
    build: Build,
) -> None:
    async with build(settings=keyed(100)) as home:
        failed = await home.refused(**DAYS, **PINNED)
        again = await home.refused(**anew(DAYS), **PINNED)
        calls = await home.calls("iex_cloud")

    assert failed.reason == again.reason == "QUOTA_EXHAUSTED"
    assert failed.facts["window"] == "month"
    # Until the month is over, on the twelfth of June.
    assert 18 * 86_400 < (failed.retry_seconds or 0) < 20 * 86_400
    assert calls == 1


async def test_a_budget_of_ones_own_is_kept_before_the_vendor_says_anything(
    build: Build,
) -> None:
    settings = ON | {"PROVIDERS__IEX_CLOUD__MESSAGES_PER_MONTH": "310"}
    async with build(settings=settings) as home:
        await home.fetch(**DAYS, **PINNED)
        failed = await home.refused(**anew(DAYS), **PINNED)

        assert failed.reason == "QUOTA_EXHAUSTED"
        assert await both(home) == (300, 300)
        assert (await home.window("iex_cloud", "month")).limit == 310


async def test_where_its_budget_is_gone_another_vendor_answers(build: Build) -> None:
    first = {"PROVIDERS__ORDER": "iex_cloud,yahoo,alpha_vantage"}
    async with build(settings={**keyed(100), **first, **TWO_VENDORS}) as home:
        answer = await home.fetch(**DAYS)

    assert served_by(answer) == ["yahoo"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("status_500", (Code.UNAVAILABLE, "PINNED_PROVIDER_FAILED")),
        ("html", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("malformed", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("truncated", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("premium", (Code.FAILED_PRECONDITION, "ENTITLEMENT_MISSING")),
        ("error_key", (Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED")),
    ],
)
async def test_each_fault_is_told_as_what_it_is(
    build: Build, fault: str, expected: tuple[Code, str]
) -> None:
    async with build(settings=ON) as home:
        await home.fault("iex_cloud", fault)
        failed = await home.refused(**DAYS, **PINNED)

    assert (failed.code, failed.reason) == expected


async def test_what_its_plan_lacks_is_asked_for_once_a_day(build: Build) -> None:
    async with build(settings=ON) as home:
        await home.fault("iex_cloud", "premium")
        failed = [await home.refused(**anew(DAYS), **PINNED) for _ in range(3)]
        calls = await home.calls("iex_cloud")

    assert {each.facts["feature"] for each in failed} == {"chart"}
    assert calls == 1


async def test_the_key_is_in_no_recording_and_recordings_answer_like_the_vendor(
    build: Build, tmp_path: Path
) -> None:
    key = ON | {"PROVIDERS__IEX_CLOUD__API_KEY": "sk_s3cret-9000"}
    async with build(settings=key, mode=Mode(sandbox=True, record=tmp_path)) as home:
        live = await home.fetch(**DAYS, **PINNED)
    async with build(settings=ON, mode=Mode(replay=tmp_path)) as home:
        replayed = await home.fetch(**DAYS, **PINNED)

    kept = recorded(tmp_path)
    assert kept
    assert not any(b"s3cret" in each for each in kept)
    assert closes(replayed) == closes(live)


def recorded(folder: Path) -> list[bytes]:
    """Return all files that were recorded."""
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
