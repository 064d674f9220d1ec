"""How calls come in, and how the door closes on those who would never leave."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any, cast

import pytest
from typing_extensions import override

from ingestion_server.domain.errors import ServerStoppingError
from ingestion_server.ports.hooks import OnRpc, RpcDetails
from ingestion_server.ports.tracing import Kind, Origin, Span, here
from ingestion_server.service.admission import Context, Door, Visit


async def fails() -> None:
    """Fail."""
    raise ValueError("so it is")


async def test_work_is_done_while_the_door_is_open() -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    await Door(1).while_open(work())

    assert done.is_set()


async def test_the_failure_of_work_is_raised() -> None:
    with pytest.raises(ValueError, match="so it is"):
        await Door(1).while_open(fails())


async def test_work_is_given_up_when_the_door_closes() -> None:
    door = Door(1)
    begun = asyncio.Event()
    given_up = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    waiting = asyncio.ensure_future(door.while_open(work()))
    await begun.wait()
    door.close()

    with pytest.raises(ServerStoppingError):
        await waiting
    assert given_up.is_set()


async def test_no_work_is_done_behind_a_closed_door() -> None:
    door = Door(1)
    door.close()

    with pytest.raises(ServerStoppingError):
        await door.while_open(asyncio.Event().wait())


async def test_who_is_cancelled_takes_the_work_along() -> None:
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    waiting = asyncio.ensure_future(Door(1).while_open(work()))
    await begun.wait()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert given_up.is_set()


class NoMetadata:
    """Be a call of which nothing is told."""

    def invocation_metadata(self) -> Any:
        """Return nothing."""
        return ()


class Listener(OnRpc):
    """Note what is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.has_seconds: list[bool] = []

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        self.heard.append(f"OK {trace_id}".strip())
        self.has_seconds.append(seconds is not None)

    @override
    def failed(self, details: RpcDetails) -> None:
        self.heard.append(details.code)


class Broken(OnRpc):
    """Be a listener with a defect."""

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        raise ZeroDivisionError(rpc)

    @override
    def failed(self, details: RpcDetails) -> None:
        raise ZeroDivisionError(details.rpc)


class Recorded(Span):
    """Be a span that is recorded."""

    is_recorded = True

    def __init__(self, names: Counter[str], name: str) -> None:
        self._names = names
        names[name] += 1

    @override
    def child(
        self, name: str, kind: Kind = Kind.INTERNAL, link: Origin | None = None
    ) -> Span:
        return Recorded(self._names, name)


class Recorder:
    """Record every trace."""

    def __init__(self) -> None:
        self.spans: Counter[str] = Counter()

    def takes(self, trace_number: int) -> bool:
        return trace_number > 0

    def begin(self, name: str, *_: object, **__: object) -> Span:
        return Recorded(self.spans, name)


def visit(door: Door) -> Visit:
    """Return a call of which nothing is told."""
    return door.call(cast("Context", NoMetadata()), "IngestionService/Fetch")


def known(asked: str, request_id: str) -> str | None:
    """Know one answer."""
    return f"{asked}!" if asked == "yes" and request_id else None


async def test_a_defect_of_a_listener_costs_nobody_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener()
    door = Door(1, hooks=[Broken(), listener])
    async with visit(door):
        pass
    assert visit(door).at_once(known, "yes") == "yes!"
    with pytest.raises(asyncio.CancelledError):
        async with visit(door):
            raise asyncio.CancelledError

    assert listener.heard == ["OK", "OK", "CANCELLED"]
    assert here() is None
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


async def test_what_is_known_is_told_at_once_and_counted_like_any_other() -> None:
    listener = Listener()
    door = Door(1, hooks=[listener])

    assert visit(door).at_once(known, "yes") == "yes!"

    assert listener.heard == ["OK"]
    assert door.started == {"IngestionService/Fetch": 1}
    assert door.inside["calls"] == 0


async def test_what_is_not_known_is_not_counted_before_it_comes_in() -> None:
    listener = Listener()
    door = Door(1, hooks=[listener])
    call = visit(door)

    assert call.at_once(known, "no") is None
    assert (listener.heard, door.started) == ([], {})
    async with call:
        pass

    assert (listener.heard, door.started.total()) == (["OK"], 1)


async def test_who_is_inside_already_keeps_nobody_from_what_is_known() -> None:
    door = Door(1)
    async with visit(door):
        assert visit(door).at_once(known, "yes") == "yes!"


async def test_while_the_server_stops_even_what_is_known_is_refused() -> None:
    door = Door(1)
    door.close()

    assert visit(door).at_once(known, "yes") is None


async def test_what_is_known_is_told_at_once_to_those_who_trace_as_well() -> None:
    listener, recorder = Listener(), Recorder()
    door = Door(0, hooks=[listener], tracer=recorder)

    assert visit(door).at_once(known, "yes") == "yes!"

    assert recorder.spans == {
        "marketdata.ingestion.v1.IngestionService/Fetch": 1,
        "cache look-up": 1,
    }
    (heard,) = listener.heard
    assert re.fullmatch("OK [0-9a-f]{32}", heard)
    assert here() is None


async def test_what_is_looked_for_in_vain_is_looked_for_once() -> None:
    listener, recorder = Listener(), Recorder()
    door = Door(1, hooks=[listener], tracer=recorder)
    call = visit(door)

    assert call.at_once(known, "no") is None
    async with call:
        now = here()

    assert now is not None
    assert listener.heard == [f"OK {now.trace_id}"]
    assert recorder.spans["cache look-up"] == 1


async def test_a_defect_of_what_is_known_costs_nobody_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(asked: str, request_id: str) -> str | None:
        raise ZeroDivisionError(asked, request_id)

    call = visit(Door(1))
    assert call.at_once(broken, "yes") is None
    async with call as request_id:
        pass

    assert caplog.messages == [f"request {request_id} met a defect of what is known"]


async def test_how_long_it_took_is_told_of_those_that_end_by_themselves() -> None:
    listener = Listener()
    door = Door(1, hooks=[listener])
    context = cast("Context", NoMetadata())
    async with door.call(context, "IngestionService/Fetch"):
        pass
    visit(door).at_once(known, "yes")
    async with door.watch(context, "JobService/WatchJob"):
        pass
    async with door.stream(context, "IngestionService/StreamQuotes"):
        pass

    assert listener.has_seconds == [True, True, False, False]
