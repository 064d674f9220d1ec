"""A server says where it is, answers, and shows what it answered."""

from __future__ import annotations

import json
import re
import socket
import ssl
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from websockets.sync.client import connect

from ingestion_server.client import SyncClient
from tests.certificates import certified
from tests.process.conftest import Run, Start
from tests.process.programs import SANDBOX, START_SECONDS, STOP_SECONDS, got


def test_it_says_where_the_doors_are_and_probes_are_answered(
    house: tuple[str, str],
) -> None:
    _, http = house

    assert got(f"http://{http}/livez") == (200, "ok")
    status, body = got(f"http://{http}/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ready")
    assert got(f"http://{http}/nowhere")[0] == 404


def test_with_a_sandbox_it_says_first_where_that_is(serve: Start) -> None:
    program = serve("--sandbox")

    sandbox = program.line(SANDBOX)[1]
    program.addresses()

    assert len(program.seen) == 2
    assert "yahoo" in got(f"http://{sandbox}/control/stats")[1]


def test_the_first_fetch_is_shown_with_who_served_it(
    serve: Start, tmp_path: Path
) -> None:
    # As in a fresh clone: a calendar must be computed meanwhile.
    program = serve(
        *("--sandbox", "--first-fetch", "AAPL"),
        settings={"XDG_CACHE_HOME": str(tmp_path)},
    )
    grpc_door, _ = program.addresses()

    program.line("Ctrl-C stops the server.")
    text = "\n".join(program.seen)

    assert "COMPLETE · 10 bars" in text
    assert re.search(r"(?m)^ (alpha_vantage|yahoo) +\[\d{4}-\d\d-\d\d, \d{4}", text)
    assert f"fetch AAPL --chart --target {grpc_door}" in text
    assert "buf curl" in text
    told = program.stopped()
    assert told.status == 0
    # No word of gRPC's own, of asyncio's, or of calendars that cannot be computed.
    assert re.fullmatch(r"\S+ INFO +ingestion_server\.\S+: stopping\n", told.complaints)


def test_a_server_asks_the_sandbox_that_it_is_pointed_at(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0")
    place = sandbox.line(SANDBOX)[1]
    server = start(
        *("serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
        *("--sandbox-url", f"http://{place}"),
    )
    grpc_door, _ = server.addresses()

    with SyncClient(grpc_door, timeout_seconds=START_SECONDS) as client:
        bars = client.fetch("AAPL", limit=5)

    calls = json.loads(got(f"http://{place}/control/stats")[1])
    assert len(bars) == 5
    assert sum(vendor["calls"] for vendor in calls.values()) > 0
    for program in (server, sandbox):
        told = program.stopped()
        assert (told.status, "Traceback" in told.complaints) == (0, False)


def test_a_sandbox_pings_a_silent_stream_as_often_as_it_is_told(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0", "--finnhub-ping-seconds", "0.05")
    place = sandbox.line(SANDBOX)[1]

    with connect(f"ws://{place}/ws/finnhub?token=abc") as stream:
        told = [stream.recv(timeout=START_SECONDS) for _ in range(3)]

    assert told == ['{"type":"ping"}'] * 3
    assert sandbox.stopped().status == 0


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_a_port_that_is_taken_is_told_in_a_line(run: Run, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        doors = {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"} | {door: address}

        told = run("serve", "--grpc", doors["grpc"], "--http", doors["http"])

    assert told.status == 6
    assert told.output == ""
    assert len(told.complaints.splitlines()) == 1
    assert told.complaints.startswith(f"cannot listen on {address}")
    assert f"--{door}" in told.complaints


@pytest.mark.parametrize(
    ("arguments", "settings", "word"),
    [
        (("--grpc", "nowhere"), {}, "grpc.address"),
        ((), {"INGESTION_GRPC__DRAIN_SECONDS": "soon"}, "grpc.drain_seconds"),
        ((), {"INGESTION_GRPC__DRIAN_SECONDS": "1"}, "INGESTION_GRPC__DRIAN_SECONDS"),
        (("--sandbox", "--replay", "somewhere"), {}, "--replay"),
        (("--http", "0.0.0.0:0"), {}, "http.address"),
        (
            ("--sandbox",),
            {
                "INGESTION_PROVIDERS__YAHOO__BUDGET__WINDOWS": json.dumps(
                    [{"name": "minute", "limit": 0, "seconds": 60}]
                )
            },
            "providers.yahoo.budget.windows[0].limit",
        ),
    ],
)
def test_what_is_wrong_with_the_settings_is_named(
    run: Run, arguments: tuple[str, ...], settings: dict[str, str], word: str
) -> None:
    told = run("serve", *arguments, settings=settings)

    assert told.status == 2
    assert word in told.complaints
    assert "Traceback" not in told.complaints


def test_other_machines_are_not_let_in_without_tls(run: Run) -> None:
    told = run("serve", "--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0")

    assert told.status == 2
    for advice in ("grpc.address", "grpc.tls_certificate_file", "--allow-insecure"):
        assert advice in told.complaints


def test_other_machines_are_let_in_if_told_so(start: Start) -> None:
    program = start(
        *("serve", "--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0"),
        "--allow-insecure-bind",
    )

    program.line(r"SERVING grpc=0\.0\.0\.0:\d+ http=0\.0\.0\.0:\d+")

    assert program.stopped().status == 0


def test_with_a_certificate_the_door_speaks_tls(serve: Start, tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    program = serve(
        settings={
            "INGESTION_GRPC__TLS_CERTIFICATE_FILE": str(certificate),
            "INGESTION_GRPC__TLS_KEY_FILE": str(key),
        }
    )
    grpc_door, _ = program.addresses()

    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    with grpc.secure_channel(grpc_door, credentials) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=START_SECONDS
        )

    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols(["h2"])
    host, _, port = grpc_door.partition(":")
    with (
        socket.create_connection((host, int(port)), STOP_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
    assert program.stopped().status == 0
