"""A job whose server is killed again and again brings all of it, and nothing twice."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
)
from pyarrow import dataset

from tests.process.conftest import Start
from tests.process.programs import SANDBOX, Program, got, post

VENDORS: Final = ("alpha_vantage", "yahoo", "finnhub")
KILLS: Final = 5
SYMBOLS: Final = [f"SBX{number}" for number in range(1000, 1200)]
SPAN: Final = {"start": "2018-11-01T00:00:00Z", "end": "2023-11-01T00:00:00Z"}
FAULTS: Final = (
    {"fault": "status_500"},
    {"fault": "status_429", "retry_after": 1},
    {"fault": "cut"},
    {"fault": "truncated"},
    {"fault": "html"},
    {"fault": "empty"},
)
FAILING: Final = 0.3
UNMETERED: Final = {
    "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN": "99999per1s",
    "INGESTION_SANDBOX__FINNHUB_PLAN": "99999per1s",
    "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
    # Probes are no calls of a job, and would be counted with them.
    "INGESTION_REGISTRY__PROBE_SECONDS": "0",
    # Whatever fails is tried again soon, and not given up.
    "INGESTION_JOBS__ATTEMPTS": "50",
    "INGESTION_JOBS__LONGEST_SECONDS": "2",
}
PATIENCE_SECONDS: Final = 120.0

Rows = Mapping[str, Mapping[int, tuple[float, ...]]]
"""Prices and volumes by symbol and open time."""


class Sandbox:
    """Be simulated vendors in a process of their own."""

    def __init__(self, start: Start) -> None:
        program = start(
            *("sandbox", "--port", "0", "--alpha-vantage-plan", "99999per1s"),
            *("--yahoo-per-second", "99999", "--finnhub-plan", "99999per1s"),
        )
        self.url = f"http://{program.line(SANDBOX)[1]}"

    def fail(self) -> None:
        """Let three calls of ten fail, in one way or another."""
        chance = 1 - (1 - FAILING) ** (1 / len(FAULTS))
        for vendor in VENDORS:
            for fault in FAULTS:
                told = json.dumps({**fault, "probability": chance})
                post(f"{self.url}/control/{vendor}", told)

    def stats(self) -> Mapping[str, Any]:
        """Return what was counted, by vendor."""
        return json.loads(got(f"{self.url}/control/stats")[1])

    def calls(self) -> Counter[str]:
        """Return how often each symbol was asked for, of all vendors together."""
        found: Counter[str] = Counter()
        for vendor in VENDORS:
            found.update(self.stats()[vendor]["by_symbol"])
        return found


class Door:
    """Talk to a server."""

    def __init__(self, program: Program) -> None:
        self.channel = grpc.insecure_channel(
            program.addresses()[0], [("grpc.max_receive_message_length", 1 << 26)]
        )
        self.jobs = job_service_pb2_grpc.JobServiceStub(self.channel)
        self.ingestion = ingestion_service_pb2_grpc.IngestionServiceStub(self.channel)

    def begin(self) -> str:
        """Create the job, or find it."""
        spec = {"symbols": SYMBOLS, **SPAN}
        message = json_format.ParseDict(
            {"clientKey": "all", "spec": spec}, job_service_pb2.CreateJobRequest()
        )
        return self.jobs.CreateJob(message, timeout=30).job.job_id

    def landed(self, job_id: str) -> set[str]:
        """Return the symbols that have landed."""
        message = job_service_pb2.GetJobRequest(
            job_id=job_id, unit_states=[job_pb2.UNIT_STATE_LANDED], page_size=1000
        )
        return {unit.symbol for unit in self.jobs.GetJob(message, timeout=30).units}

    def ended(self, job_id: str) -> job_pb2.Job:
        """Wait until the job has ended."""
        message = job_service_pb2.WatchJobRequest(job_id=job_id)
        *_, last = self.jobs.WatchJob(message, timeout=PATIENCE_SECONDS)
        return last.job

    def results(self, job_id: str) -> Sequence[job_service_pb2.ReadResultsResponse]:
        """Read all that has landed."""
        message = job_service_pb2.ReadResultsRequest(job_id=job_id)
        return list(self.jobs.ReadResults(message, timeout=PATIENCE_SECONDS))

    def truth(self) -> Rows:
        """Fetch the same without a job."""
        message = json_format.ParseDict(
            {"symbols": SYMBOLS, "layout": "LAYOUT_COLUMNS", **SPAN},
            ingestion_service_pb2.FetchBatchRequest(),
        )
        found: dict[str, dict[int, tuple[float, ...]]] = {}
        for told in self.ingestion.FetchBatch(message, timeout=PATIENCE_SECONDS):
            add(found.setdefault(told.symbol, {}), told.chunk.series.columns)
        return found


def add(rows: dict[int, tuple[float, ...]], columns: Any) -> None:
    """Add columns as rows; none may be there."""
    for time_ns, *values in zip(
        columns.open_time_ns,
        columns.open,
        columns.high,
        columns.low,
        columns.close,
        columns.volume,
        strict=True,
    ):
        assert time_ns not in rows
        rows[time_ns] = tuple(values)


def kept(folder: Path) -> Rows:
    """Read the files, as anybody could."""
    table = dataset.dataset(folder, format="parquet").to_table()
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for row in table.to_pylist():
        rows = found.setdefault(row["symbol"], {})
        time_ns = row["open_time"].value
        assert time_ns not in rows
        rows[time_ns] = tuple(
            row[name] for name in ("open", "high", "low", "close", "volume")
        )
    return found


@pytest.mark.timeout(400)
def test_a_job_that_is_killed_again_and_again_brings_all_of_it_and_nothing_twice(
    start: Start, serve: Start, tmp_path: Path, calendar_cache: Path
) -> None:
    settings = {
        **UNMETERED,
        "INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache),
        "INGESTION_CACHE__ENABLED": "false",
    }
    draw = random.Random(11)  # noqa: S311 - no secret
    sandbox, state = Sandbox(start), tmp_path / "state"
    sandbox.fail()
    arguments = ("--sandbox-url", sandbox.url, "--state", state)
    repeated: Counter[str] = Counter()
    known: set[str] = set()
    for _ in range(KILLS):
        program = serve(*arguments, settings=settings)
        door = Door(program)
        job_id = door.begin()
        landed = door.landed(job_id)
        before = sandbox.calls()
        assert known <= landed
        time.sleep(draw.uniform(0.2, 1.2))  # how far it comes is left to chance
        known = door.landed(job_id)
        program.send(signal.SIGKILL)
        program.process.wait()
        after = sandbox.calls()
        repeated.update({name: after[name] - before[name] for name in landed})

    program = serve(*arguments, settings=settings)
    door = Door(program)
    landed = door.landed(door.begin())
    before = sandbox.calls()
    job = door.ended(door.begin())
    after = sandbox.calls()
    repeated.update({name: after[name] - before[name] for name in landed})
    told: dict[str, dict[int, tuple[float, ...]]] = {}
    for result in door.results(job.job_id):
        add(told.setdefault(result.unit.symbol, {}), result.series.columns)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert 0 < len(known) < len(SYMBOLS)
    assert not +repeated
    honest = serve("--sandbox-url", Sandbox(start).url, settings=settings)
    truth = Door(honest).truth()
    assert told == truth
    (bars,) = state.rglob("bars")
    assert kept(bars) == truth
    assert all(each["violations"] == 0 for each in sandbox.stats().values())
