"""One trace tells what became of a call, from the client down to each try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from aiohttp import web
from marketdata.ingestion.v1 import ingestion_service_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ingestion_server.app.mode import Mode
from ingestion_server.client import Client, tracing
from ingestion_server.ports.spans import EVENTS, SPANS
from ingestion_server.telemetry.otlp import span_exporter
from tests.port.house import TWO_VENDORS, UNMETERED, Build, House, one_call, pinned
from tests.port.job_desk import JobDesk
from tests.port.roster import AV, SPLIT, YAHOO
from tests.port.streaming import listening
from tests.telemetry.trace_collector import Seen, TraceCollector, over_grpc, over_http

SERVICE = "marketdata.ingestion.v1.IngestionService"
FETCH = f"{SERVICE}/Fetch"
KEY = "s3cr3t-k3y"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
LISTENERS = {"grpc": over_grpc, "http": over_http}
Fresh = Callable[..., Mapping[str, str]]


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are, each asked once."""
    return {
        **UNMETERED,
        **TWO_VENDORS,
        "RETRY__ATTEMPTS": "1",
        "PROVIDERS__ORDER": "alpha_vantage,yahoo",
        "PROVIDERS__ALPHA_VANTAGE__API_KEY": KEY,
    }


@pytest.fixture
def collector() -> TraceCollector:
    """Collect spans."""
    return TraceCollector()


@pytest.fixture
def url(collector: TraceCollector) -> Iterator[str]:
    """Listen for spans."""
    with over_grpc(collector) as where:
        yield where
    if collector.spans:
        listed(collector)


def recorded(url: str, ratio: float = 1.0, protocol: str = "grpc") -> dict[str, str]:
    """Return settings with which traces are recorded."""
    return {
        "TELEMETRY__OTLP_ENDPOINT": url,
        "TELEMETRY__OTLP_PROTOCOL": protocol,
        "TELEMETRY__SAMPLE_RATIO": str(ratio),
    }


def called_by(home: House, flags: str = "01") -> None:
    """Make all calls a part of somebody's trace."""
    home.metadata = (("traceparent", f"00-{TRACE}-{PARENT}-{flags}"),)


def listed(collector: TraceCollector) -> None:
    """Check that the list of spans tells of all that was told of them."""
    for span in collector.spans:
        name = span.name
        if span.kind == "SERVER":
            name = "{package}.{service}/{method}"
        elif span.kind == "CLIENT" and "http.request.method" in span.attributes:
            name = "{http method} {provider}"
        elif span.kind == "CLIENT":
            continue
        assert set(span.attributes) <= set(SPANS[name].attributes), span
        for event, attributes in span.events:
            assert set(attributes) <= set(EVENTS[event].attributes), span


@pytest.fixture
async def client_of(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[House], Client]]:
    """Make clients of a program that records traces as well."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(span_exporter(url, "grpc", {})))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("program"))
    yield lambda home: Client(home.target)
    await asyncio.to_thread(provider.shutdown)


def tries(collector: TraceCollector) -> list[Seen]:
    """Return the tries at vendors, in their order."""
    return [each for each in collector.spans if each.name.startswith("GET ")]


async def test_a_fetch_that_fails_over_is_one_trace_from_the_client_to_both_tries(
    build: Build,
    url: str,
    collector: TraceCollector,
    client_of: Callable[[House], Client],
) -> None:
    async with build(settings=recorded(url, ratio=0.0)) as home:
        await home.fault(AV, "status_500")
        async with client_of(home) as client:
            bars = await client.fetch("MSFT", adjustment="split", limit=5)
        assert {source.provider for source in bars.sources} == {YAHOO}
    await asyncio.to_thread(
        collector.until, lambda spans: len([s for s in spans if s.name == FETCH]) == 2
    )

    asked, served = sorted(collector.named(FETCH), key=lambda span: span.kind)
    assert (asked.kind, served.kind) == ("CLIENT", "SERVER")
    route = collector.one("route")
    failed, good = tries(collector)
    assert {each.trace_id for each in collector.spans} == {asked.trace_id}
    assert (served.parent_id, route.parent_id) == (asked.span_id, served.span_id)
    assert {failed.parent_id, good.parent_id} == {route.span_id}
    assert failed.kind == good.kind == "CLIENT"
    assert failed.is_error
    assert failed.attributes["http.response.status_code"] == 500
    assert failed.attributes["ingestion.provider"] == AV
    assert failed.attributes["server.address"] == "www.alphavantage.co"
    assert not good.is_error
    assert good.attributes["http.response.status_code"] == 200
    assert good.attributes["ingestion.provider"] == YAHOO
    assert route.attributes["ingestion.chosen"] == [YAHOO]
    assert route.attributes["ingestion.candidates"][0].startswith(f"{AV}: failed")
    (failover,) = [event for event in served.events if event[0] == "failover"]
    assert failover[1]["ingestion.provider"] == YAHOO
    assert failover[1]["ingestion.previous"] == [AV]
    assert served.attributes["rpc.response.status_code"] == "OK"
    assert asked.attributes["rpc.response.status_code"] == "OK"
    ids = {each.span_id for each in collector.spans}
    assert all(each.parent_id in ids for each in collector.spans if each is not asked)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_no_span_tells_a_key(build: Build, protocol: str) -> None:
    collector = TraceCollector()
    with LISTENERS[protocol](collector) as where:
        async with build(settings=recorded(where, protocol=protocol)) as home:
            await home.fetch(**one_call(AV))
            await home.fault(AV, "information_key")
            await home.refused(**one_call(AV))

    assert len(tries(collector)) == 2
    assert all(each.attributes["url.full"] for each in tries(collector))
    assert KEY not in repr(collector.spans)
    listed(collector)


async def test_what_was_known_is_told_as_a_hit(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings=recorded(url)) as home:
        for _ in range(3):
            await home.fetch(**{**SPLIT, "end": "2024-06-01T00:00:00Z"})

    looks = [
        (each.attributes["ingestion.layer"], each.attributes["ingestion.outcome"])
        for each in collector.named("cache look-up")
    ]
    assert looks[:2] == [("answers", "miss"), ("bars", "miss")]
    assert ("bars", "hit") in looks
    assert looks[-1] == ("answers", "hit")


async def test_who_waits_for_anothers_call_is_linked_to_it(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings=recorded(url)) as home:
        await home.fault(AV, "latency", seconds=0.3)
        question = one_call(AV)
        await asyncio.gather(*(home.fetch(**question) for _ in range(3)))

    (called,) = tries(collector)
    followers = collector.named("shared call")
    assert len(followers) == 2
    for each in followers:
        assert each.trace_id != called.trace_id
        assert each.links == [(called.trace_id, called.parent_id)]


async def test_a_call_that_waits_for_quota_says_for_which(
    build: Build, url: str, collector: TraceCollector
) -> None:
    paced = {"SANDBOX__ALPHA_VANTAGE_PLAN": "1per1s"}
    async with build(settings={**recorded(url), **paced}) as home:
        for _ in range(2):
            await home.fetch(**one_call(AV))

    wait = collector.one("quota wait")
    assert wait.attributes["ingestion.provider"] == AV
    assert wait.attributes["ingestion.lane"] == "interactive"
    assert wait.attributes["ingestion.window"]


async def test_a_retry_is_an_event_and_a_try_of_its_own(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings={**recorded(url), "RETRY__ATTEMPTS": "2"}) as home:
        await home.fault(AV, "status_500", times=1)
        await home.fetch(**one_call(AV))

    assert [
        each.attributes.get("http.request.resend_count") for each in tries(collector)
    ] == [None, 1]
    assert [name for name, _ in collector.one(FETCH).events] == ["retry"]


async def test_a_breaker_that_opens_is_an_event(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings={**recorded(url), "BREAKER__FAILURES": "1"}) as home:
        await home.fault(AV, "status_500")
        for _ in range(2):
            await home.refused(**one_call(AV))

    told = [
        (name, attributes["ingestion.position"])
        for span in collector.named(FETCH)
        for name, attributes in span.events
        if name == "breaker"
    ]
    assert set(told) == {("breaker", "open")}
    first, second = collector.named(FETCH)
    assert first.is_error
    assert second.attributes["error.type"]


async def test_a_vendor_that_is_slow_has_a_hedge_as_an_event(
    build: Build, url: str, collector: TraceCollector
) -> None:
    hasty = {"HEDGE__LONGEST_DELAY_SECONDS": "0.05"}
    async with build(settings={**recorded(url), **hasty}) as home:
        await home.fault(AV, "hang")
        await home.fetch(**SPLIT)

    events = dict(collector.one(FETCH).events)
    assert events["hedge"]["ingestion.provider"] == YAHOO
    assert events["hedge"]["ingestion.previous"] == [AV]


async def test_the_caller_decides_what_is_recorded(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings=recorded(url, ratio=1.0)) as home:
        called_by(home, flags="00")
        await home.fetch(**SPLIT)
    assert not collector.spans

    async with build(settings=recorded(url, ratio=0.0)) as home:
        await home.fetch(**SPLIT)
    assert not collector.spans

    async with build(settings=recorded(url, ratio=0.0)) as home:
        called_by(home)
        await home.fetch(**SPLIT)
    rpc = collector.one(FETCH)
    assert (rpc.trace_id, rpc.parent_id) == (TRACE, PARENT)


async def test_what_is_refused_tells_its_trace_and_is_no_error_of_the_server(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings=recorded(url)) as home:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await home.stub.Fetch(
                ingestion_service_pb2.FetchRequest(symbol=""),
                metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),),
            )

    assert dict(refused.value.trailing_metadata() or ())["x-trace-id"] == TRACE
    rpc = collector.one(FETCH)
    assert not rpc.is_error
    assert rpc.attributes["error.type"] == "INVALID_QUERY"
    assert rpc.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"


async def test_an_invalid_header_is_passed_over(build: Build) -> None:
    async with build() as home:
        for parent in ("", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "x" * 4_000):
            home.metadata = (("traceparent", parent), ("tracestate", "y" * 4_000))

            assert (await home.fetch(**SPLIT)).series.bars


@asynccontextmanager
async def overheard() -> AsyncIterator[tuple[str, list[Mapping[str, str]]]]:
    """Be all vendors, and know nothing; yield where, and the headers that came."""
    heard: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(status=500)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", heard
    finally:
        await runner.cleanup()


async def test_vendors_are_told_the_trace_only_if_an_operator_wants_that(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with overheard() as (vendors, heard):
        mode = Mode(sandbox_url=vendors)
        async with build(settings=recorded(url), mode=mode) as home:
            called_by(home)
            await home.refused(**one_call(AV))
        assert heard
        assert not any(name.startswith("trace") for each in heard for name in each)
        heard.clear()
        telling = {**recorded(url), "TELEMETRY__PROPAGATE_TO_VENDORS": "true"}
        async with build(settings=telling, mode=mode) as home:
            called_by(home)
            await home.refused(**one_call(AV))

    told = {each["traceparent"] for each in heard}
    assert told <= {f"00-{TRACE}-{each.span_id}-01" for each in tries(collector)}
    assert told


async def test_units_of_a_job_are_traces_of_their_own_linked_to_who_wanted_them(
    build: Build, url: str, collector: TraceCollector
) -> None:
    year = {"start": "2023-06-12T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
    async with build(settings=recorded(url)) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", "MSFT", sourcePolicy=pinned(YAHOO), **year)
        await desk.ended(job_id)

    (created,) = (
        each for each in collector.spans if each.name.endswith("JobService/CreateJob")
    )
    units = collector.named("job unit")
    assert {each.attributes["ingestion.symbol"] for each in units} == {"AAPL", "MSFT"}
    for unit in units:
        assert unit.attributes["ingestion.job_id"] == job_id
        assert unit.attributes["ingestion.outcome"] == "landed"
        assert (unit.parent_id, unit.trace_id == created.trace_id) == ("", False)
        assert [link[0] for link in unit.links] == [created.trace_id]
        (called,) = (e for e in tries(collector) if e.trace_id == unit.trace_id)
        assert called.attributes["ingestion.provider"] == YAHOO


async def test_a_stream_is_one_span_with_what_was_not_perfect(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with (
        build(settings=recorded(url)) as home,
        listening(home, "AAPL", "no such thing!") as listener,
    ):
        await listener.until_told("REJECTED")

    stream = collector.one(f"{SERVICE}/StreamQuotes")
    (event,) = [each for each in stream.events if each[0] == "stream rejected"]
    assert event[1]["ingestion.symbol"] == "no such thing!"
    assert not [each for each in collector.spans if each.parent_id == stream.span_id]


async def test_a_quote_is_traced_down_to_its_try(
    build: Build, url: str, collector: TraceCollector
) -> None:
    async with build(settings=recorded(url)) as home:
        await home.quotes("AAPL", "MSFT")

    rpc = collector.one(f"{SERVICE}/GetQuotes")
    route = collector.one("route")
    assert route.parent_id == rpc.span_id
    assert route.attributes["ingestion.chosen"]
    assert tries(collector)
    assert {each.trace_id for each in tries(collector)} == {rpc.trace_id}
