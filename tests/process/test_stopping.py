"""A server stops when it is told to, in order, and soon."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from marketdata.ingestion.v1 import (
    ingestion_service_pb2_grpc,
)

from tests.process.conftest import Start
from tests.process.programs import (
    QUESTION,
    SANDBOX,
    START_SECONDS,
    STOP_SECONDS,
    Program,
    got,
    post,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def slow(program: Program, fault: str, **more: float) -> Iterator[grpc.Channel]:
    """Make vendors slow, and yield a channel on which a vendor is being asked."""
    sandbox = program.line(SANDBOX)[1]
    grpc_door, _ = program.addresses()
    post(f"http://{sandbox}/control/yahoo", json.dumps({"fault": fault, **more}))
    with grpc.insecure_channel(grpc_door) as channel:
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        answer = stub.Fetch.future(QUESTION, timeout=START_SECONDS)
        channel.answer = answer  # type: ignore[attr-defined]
        until = time.monotonic() + START_SECONDS
        while not json.loads(got(f"http://{sandbox}/control/stats")[1])["yahoo"][
            "calls"
        ]:
            assert time.monotonic() < until, "the vendor is not asked"
            assert not answer.done(), answer
            time.sleep(0.02)
        yield channel


@pytest.mark.parametrize("ignoring", [False, True], ids=["terminal", "background"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_in_order(
    serve: Start, number: signal.Signals, *, ignoring: bool
) -> None:
    program = serve("--sandbox", ignoring_interrupts=ignoring)
    program.addresses()

    told = program.stopped(number)

    assert told.status == 0
    assert "Traceback" not in told.complaints


def test_a_call_under_way_finishes_while_new_ones_are_refused(serve: Start) -> None:
    program = serve("--sandbox")
    with slow(program, "latency", seconds=3) as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=START_SECONDS
        )
        before = next(health).status

        program.send(signal.SIGTERM)

        after = next(health).status
        with pytest.raises(grpc.RpcError) as refused:
            ingestion_service_pb2_grpc.IngestionServiceStub(channel).Fetch(
                QUESTION, timeout=STOP_SECONDS
            )
        answer = channel.answer.result()
        told = program.ended(STOP_SECONDS)

    status = health_pb2.HealthCheckResponse
    assert (before, after) == (status.SERVING, status.NOT_SERVING)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(answer.series.bars) == 5
    assert told.status == 0
    assert "Traceback" not in told.complaints


def test_a_call_that_hangs_does_not_keep_it(serve: Start) -> None:
    program = serve("--sandbox", settings={"INGESTION_GRPC__DRAIN_SECONDS": "0.5"})
    with slow(program, "hang") as channel:
        told = program.stopped()

        code = channel.answer.exception().code()

    assert code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert told.status == 0
    assert "Traceback" not in told.complaints


def test_a_second_signal_does_not_wait(serve: Start) -> None:
    program = serve("--sandbox", settings={"INGESTION_GRPC__DRAIN_SECONDS": "3600"})
    with slow(program, "hang") as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=START_SECONDS
        )
        program.send(signal.SIGINT)
        for reply in health:
            if reply.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break

        told = program.stopped(signal.SIGINT)

    assert told.status == 0
    assert "Traceback" not in told.complaints


def test_a_signal_during_the_first_fetch_ends_it(serve: Start) -> None:
    program = serve("--sandbox", "--first-fetch", "AAPL")
    program.addresses()

    told = program.stopped(signal.SIGINT)

    assert told.status == 0
    assert "Traceback" not in told.complaints


@pytest.mark.parametrize("number", SIGNALS)
def test_the_sandbox_alone_ends_in_order(start: Start, number: signal.Signals) -> None:
    program = start("sandbox", "--port", "0", ignoring_interrupts=True)
    program.line(SANDBOX)

    told = program.stopped(number)

    assert (told.status, told.complaints) == (0, "")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_calendar_being_computed_does_not_outlive_a_server_that_is_killed(
    serve: Start, tmp_path: Path
) -> None:
    program = serve(settings={"XDG_CACHE_HOME": str(tmp_path)})
    program.addresses()
    until = time.monotonic() + START_SECONDS
    while not (children := _computing(program.process.pid)):
        assert time.monotonic() < until, "no calendar is computed"
        time.sleep(0.01)

    program.send(signal.SIGKILL)

    # The child notices when it next gets the interpreter: importing pandas takes
    # seconds on a busy machine.
    until = time.monotonic() + START_SECONDS
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until, "a child still lives"
        time.sleep(0.05)


def _computing(parent: int) -> list[int]:
    """List the processes that compute a calendar for another one."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            line = (entry / "cmdline").read_bytes()
            above = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and b"calendars.compute" in line:
                found.append(int(entry.name))
    return found
