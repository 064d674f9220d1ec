"""Other programs ask a server: our own command line, and one that knows nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import time

import pytest

from tests.process.conftest import Run, Start
from tests.process.programs import BUF, START_SECONDS

METHOD = "marketdata.ingestion.v1.IngestionService/Fetch"
LONGEST_FAILURE_SECONDS = 12.0


def buf(question: str, door: str) -> subprocess.CompletedProcess[str]:
    """Ask as the README says; buf learns the contract from the server."""
    if not BUF.exists():
        pytest.skip("buf is not installed")
    return subprocess.run(  # noqa: S603
        [
            *(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge"),
            *("-d", question, f"http://{door}/{METHOD}"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def test_the_command_line_shows_a_table(house: tuple[str, str], run: Run) -> None:
    told = run("fetch", "AAPL", "-n", "5", "--target", house[0])

    assert told.status == 0
    assert "COMPLETE · 5 bars" in told.output
    assert "Sources" in told.output
    assert told.complaints == ""


def test_the_command_line_draws_a_chart(house: tuple[str, str], run: Run) -> None:
    told = run("fetch", "AAPL", "--chart", "--target", house[0])

    assert told.status == 0
    assert "AAPL 1d USD" in told.output
    assert "│" in told.output


def test_the_command_line_writes_json(house: tuple[str, str], run: Run) -> None:
    told = run("fetch", "AAPL", "-n", "5", "--json", "--target", house[0])

    answer = json.loads(told.output)

    assert len(answer["series"]["bars"]) == 5
    assert answer["sources"][0]["provider"] in {"alpha_vantage", "yahoo"}


def test_the_command_line_writes_csv(house: tuple[str, str], run: Run) -> None:
    told = run("fetch", "AAPL", "-n", "5", "--csv", "--target", house[0])

    rows = list(csv.DictReader(io.StringIO(told.output)))

    assert len(rows) == 5
    assert all(float(row["close"]) > 0 for row in rows)


def test_buf_shows_bars_and_sources(house: tuple[str, str]) -> None:
    question = (
        '{"symbol":"AAPL","interval":"INTERVAL_1_DAY",'
        '"start":"2024-01-02T00:00:00Z","end":"2024-02-01T00:00:00Z"}'
    )

    told = buf(question, house[0])

    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert len(answer["series"]["bars"]) == 21
    assert answer["completeness"] == "COMPLETENESS_COMPLETE"
    assert answer["sources"][0]["provider"] in {"alpha_vantage", "yahoo"}


def test_buf_shows_why_a_call_failed(house: tuple[str, str]) -> None:
    told = buf('{"symbol":"NO SUCH"}', house[0])

    assert told.returncode != 0
    failure = json.loads(told.stderr)
    details = {detail["type"]: detail["value"] for detail in failure["details"]}
    # Buf shows the details of a gRPC failure undecoded, whatever reflection knows.
    info = base64.b64decode(details["google.rpc.ErrorInfo"] + "==")
    assert failure["code"] == "invalid_argument"
    assert "symbol" in failure["message"]
    assert b"INVALID_QUERY" in info


def test_without_a_key_the_variable_to_set_is_told(serve: Start, run: Run) -> None:
    program = serve()
    door, _ = program.addresses()

    told = run("fetch", "AAPL", "-p", "alpha_vantage", "--target", door)

    assert told.status == 6
    assert told.complaints.startswith("CREDENTIALS_REFUSED")
    assert "ALPHA_VANTAGE__API_KEY" in told.complaints
    assert "Traceback" not in told.complaints


def test_without_key_and_network_a_fetch_fails_soon_and_says_why(
    serve: Start, run: Run
) -> None:
    # Proxies are honoured: this one stands for a network that is not there, wherever
    # the test runs.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
    program = serve(settings=nowhere)
    door, _ = program.addresses()
    began = time.monotonic()

    told = run("fetch", "AAPL", "--target", door)

    assert time.monotonic() - began < LONGEST_FAILURE_SECONDS
    assert told.status in {5, 6}
    reason = told.complaints.partition(":")[0]
    assert reason in {"ALL_PROVIDERS_FAILED", "PINNED_PROVIDER_FAILED"}
    assert "Traceback" not in program.stopped().complaints
