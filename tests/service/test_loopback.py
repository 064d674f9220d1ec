"""What comes by another door is asked and answered as any caller's call is."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from marketdata.ingestion.v1 import (
    job_service_pb2,
    job_service_pb2_grpc,
    provider_pb2,
    provider_service_pb2,
    provider_service_pb2_grpc,
)

from ingestion_server.ports.rpc import Form, Question, RpcFailedError
from ingestion_server.service.loopback import Loopback

PROVIDERS = "marketdata.ingestion.v1.ProviderService"
JOBS = "marketdata.ingestion.v1.JobService"


class Servicer(provider_service_pb2_grpc.ProviderServiceServicer):
    """Answer as a test wants."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.remaining: float | None = None
        self.began = asyncio.Event()
        self.left = asyncio.Event()

    async def GetProvider(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()
        if request.name == "many":
            return provider_service_pb2.GetProviderResponse(
                provider=provider_pb2.Provider(name="ü" * 50_000)
            )
        if request.name == "huge":
            return provider_service_pb2.GetProviderResponse(
                provider=provider_pb2.Provider(name="x" * (9 << 20))
            )
        if request.name == "nobody":
            info = Packed()
            info.Pack(error_details_pb2.ErrorInfo(reason="WHO", domain="d"))
            strange = Packed(type_url="type.googleapis.com/of.Others", value=b"\xff")
            status = status_pb2.Status(code=5, details=[info, strange])
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                "nobody is there",
                trailing_metadata=(
                    ("grpc-status-details-bin", status.SerializeToString()),
                    ("x-request-id", "r1"),
                ),
            )
        return provider_service_pb2.GetProviderResponse(
            provider=provider_pb2.Provider(name=request.name, priority=7)
        )

    async def WatchProviders(  # noqa: N802
        self, request: Any, context: Any
    ) -> AsyncIterator[Any]:
        del request
        try:
            for number in (1, 2):
                yield provider_service_pb2.WatchProvidersResponse(
                    events=[provider_pb2.ProviderEvent(number=number)]
                )
            self.began.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()
            del context


@asynccontextmanager
async def loopback(folder: Path, servicer: Servicer) -> AsyncIterator[Loopback]:
    """Serve on a socket of one's own, and call it."""
    server = grpc.aio.server()
    provider_service_pb2_grpc.add_ProviderServiceServicer_to_server(servicer, server)
    job_service_pb2_grpc.add_JobServiceServicer_to_server(
        job_service_pb2_grpc.JobServiceServicer(), server
    )
    target = f"unix:{folder}/door"
    server.add_insecure_port(target)
    await server.start()
    calls = Loopback(target, [PROVIDERS, JOBS])
    try:
        yield calls
    finally:
        await calls.close()
        await server.stop(0)


def question(calls: Loopback, method: str, body: bytes, **more: Any) -> Question:
    """Return a question in JSON."""
    form = more.pop("form", Form.JSON)
    return Question(calls.methods[f"{PROVIDERS}/{method}"], body, form, **more)


async def test_json_is_asked_and_answered(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        answer = await calls.unary(question(calls, "GetProvider", b'{"name": "a"}'))
        empty = await calls.unary(question(calls, "GetProvider", b""))

    assert json.loads(answer) == {"provider": {"name": "a", "priority": 7}}
    assert json.loads(empty) == {"provider": {"priority": 7}}


async def test_protobuf_is_handed_on_as_it_is(tmp_path: Path) -> None:
    request = provider_service_pb2.GetProviderRequest(name="a").SerializeToString()

    async with loopback(tmp_path, Servicer()) as calls:
        answer = await calls.unary(
            question(calls, "GetProvider", request, form=Form.PROTO)
        )

    told = provider_service_pb2.GetProviderResponse.FromString(answer)
    assert told.provider.name == "a"


async def test_a_long_answer_is_whole(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        answer = await calls.unary(question(calls, "GetProvider", b'{"name": "many"}'))

    assert json.loads(answer)["provider"]["name"] == "ü" * 50_000


async def test_long_messages_are_translated_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that translate take the interpreter from the loop, and from callers."""
    inside, most = 0, 0
    translate = json_format.MessageToJson

    def counted(*args: Any, **more: Any) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        # Long enough for another to come in, if it could.
        threading.Event().wait(0.02)
        inside -= 1
        return translate(*args, **more)

    monkeypatch.setattr(json_format, "MessageToJson", counted)
    async with loopback(tmp_path, Servicer()) as calls:
        asked = question(calls, "GetProvider", b'{"name": "many"}')
        answers = await asyncio.gather(*(calls.unary(asked) for _ in range(8)))

    assert len({len(answer) for answer in answers}) == 1
    assert most == 1


async def test_an_answer_beyond_8_megabytes_is_not_taken(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        with pytest.raises(RpcFailedError) as raised:
            await calls.unary(question(calls, "GetProvider", b'{"name": "huge"}'))

    assert raised.value.code == "resource_exhausted"


async def test_headers_and_time_go_with_the_call(tmp_path: Path) -> None:
    servicer = Servicer()

    async with loopback(tmp_path, servicer) as calls:
        await calls.unary(
            question(
                calls,
                "GetProvider",
                b"{}",
                headers={"x-request-id": "mine", "traceparent": "00-a-b-01"},
                timeout_seconds=5.0,
            )
        )

    assert servicer.metadata["x-request-id"] == "mine"
    assert servicer.metadata["traceparent"] == "00-a-b-01"
    assert servicer.remaining is not None
    assert 4 < servicer.remaining < 5.5


async def test_a_failure_comes_with_its_details(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        with pytest.raises(RpcFailedError) as raised:
            await calls.unary(question(calls, "GetProvider", b'{"name": "nobody"}'))

    error = raised.value
    assert (error.code, error.message) == ("not_found", "nobody is there")
    assert error.headers["x-request-id"] == "r1"
    known, strange = error.details
    assert known.kind == "google.rpc.ErrorInfo"
    assert json.loads(known.json or b"") == {"reason": "WHO", "domain": "d"}
    assert (strange.kind, strange.json) == ("of.Others", None)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b"5",
        b"\xff",
        b'{"nothing": 1}',
        b'{"name": 1}',
        b"[" * 60_000,
        b"null",
    ],
    ids=["open", "list", "number", "bytes", "unknown", "type", "deep", "null"],
)
async def test_what_is_no_request_is_the_callers_fault(
    tmp_path: Path, body: bytes
) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        with pytest.raises(RpcFailedError) as raised:
            await calls.unary(question(calls, "GetProvider", body))

    assert raised.value.code == "invalid_argument"
    assert "GetProviderRequest" in raised.value.message


async def test_a_stream_is_told_as_it_comes_and_ends_when_it_is_closed(
    tmp_path: Path,
) -> None:
    servicer = Servicer()

    async with loopback(tmp_path, servicer) as calls:
        async with aclosing(
            calls.stream(question(calls, "WatchProviders", b"{}"))
        ) as answers:
            told = [json.loads(await anext(answers)) for _ in range(2)]
            await servicer.began.wait()
        async with asyncio.timeout(5):
            await servicer.left.wait()

    assert [one["events"][0]["number"] for one in told] == ["1", "2"]


async def test_a_stream_that_is_out_of_time_says_so(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        asked = question(calls, "WatchProviders", b"{}", timeout_seconds=0.2)
        async with aclosing(calls.stream(asked)) as answers:
            for _ in range(2):
                await anext(answers)
            with pytest.raises(RpcFailedError) as raised:
                await anext(answers)

    assert raised.value.code == "deadline_exceeded"


async def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    calls = Loopback(f"unix:{tmp_path}/nothing", [PROVIDERS])

    with pytest.raises(RpcFailedError) as raised:
        await calls.unary(question(calls, "GetProvider", b"{}"))

    await calls.close()
    assert raised.value.code == "unavailable"


async def test_only_what_declares_no_side_effects_only_reads(tmp_path: Path) -> None:
    async with loopback(tmp_path, Servicer()) as calls:
        methods = calls.methods

    changing = {
        name.rpartition("/")[2]
        for name, method in methods.items()
        if not method.only_reads
    }
    assert changing == {
        "BenchmarkProviders",
        "CancelJob",
        "CreateJob",
        "DeleteJob",
        "PauseJob",
        "ReadResults",
        "ResumeJob",
        "RetryFailed",
        "UpdateProvider",
    }
    streaming = {name.rpartition("/")[2] for name in methods if methods[name].streams}
    assert streaming == {"ReadResults", "WatchJob", "WatchProviders"}
    assert job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name == JOBS
