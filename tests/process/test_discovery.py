"""A server can be found while it serves, whatever becomes of the etcd."""

from __future__ import annotations

import importlib.metadata
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from marketdata.ingestion.v1 import (
    ingestion_service_pb2_grpc,
)

from tests.certificates import certified
from tests.deploy.monitoring import binary
from tests.discovery.etcds import (
    Etcd,
    free_port,
    needs_etcd,
    needs_etcdctl,
)
from tests.process.conftest import Start
from tests.process.programs import (
    QUESTION,
    ROOT,
    SANDBOX,
    START_SECONDS,
    STOP_SECONDS,
    Program,
    got,
    post,
)
from tests.waiting import eventually

SERVICE = "marketdata-ingestion"
VERSION = importlib.metadata.version("ingestion-server")
LEASE_SECONDS = 2


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """Run an etcd that knows nothing yet."""
    folder = tmp_path / "etcd"
    folder.mkdir()
    with Etcd(folder) as running:
        yield running


def settings(*endpoints: str, **more: str) -> dict[str, str]:
    """Return the variables of a server that is to be found."""
    named = {
        "etcd_endpoints": ",".join(endpoints),
        "lease_seconds": str(LEASE_SECONDS),
        **more,
    }
    return {f"INGESTION_DISCOVERY__{n.upper()}": value for n, value in named.items()}


def bars(grpc_door: str) -> int:
    """Ask for some bars."""
    with grpc.insecure_channel(grpc_door) as channel:
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        return len(stub.Fetch(QUESTION, timeout=START_SECONDS).series.bars)


def told(http_door: str) -> dict[str, float]:
    """Return what the page of metrics tells of discovery."""
    _, page = got(f"http://{http_door}/metrics")
    found = re.findall(r"^ingestion_discovery_(\S+) (\S+)$", page, re.MULTILINE)
    return {name: float(value) for name, value in found}


@needs_etcd
def test_a_server_that_serves_is_found_until_it_is_told_to_stop(
    serve: Start, etcd: Etcd
) -> None:
    program = serve(
        "--sandbox", settings=settings(etcd.url, region="eu-west", weight="30")
    )
    grpc_door, http_door = program.addresses()
    eventually(etcd.entries)

    ((key, (value, lease)),) = etcd.entries().items()
    assert key == f"{SERVICE}/{grpc_door}"
    assert value == (
        f'{{"Op":0,"Addr":"{grpc_door}","Metadata":'
        f'{{"region":"eu-west","version":"{VERSION}","weight":30}}}}'
    )
    assert lease
    eventually(lambda: told(http_door)['registered{where="etcd"}'])

    ended = program.stopped()
    assert etcd.entries() == {}
    assert ended.status == 0
    assert f"registered at etcd as {key}" in ended.complaints
    assert "Traceback" not in ended.complaints


@needs_etcd
def test_the_entry_goes_before_calls_under_way_have_ended(
    serve: Start, etcd: Etcd
) -> None:
    program = serve("--sandbox", settings=settings(etcd.url))
    sandbox = program.line(SANDBOX)[1]
    grpc_door, _ = program.addresses()
    eventually(etcd.entries)
    post(f"http://{sandbox}/control/yahoo", '{"fault": "latency", "seconds": 3}')
    with grpc.insecure_channel(grpc_door) as channel:
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        answer = stub.Fetch.future(QUESTION, timeout=START_SECONDS)
        stats = f"http://{sandbox}/control/stats"
        eventually(lambda: json.loads(got(stats)[1])["yahoo"]["calls"])

        program.send(signal.SIGTERM)

        eventually(lambda: not etcd.entries(), STOP_SECONDS)
        assert not answer.done()
        assert len(answer.result().series.bars) == 5
    assert program.ended(STOP_SECONDS).status == 0


@needs_etcd
def test_the_entry_of_a_server_that_is_killed_goes_with_its_lease(
    serve: Start, etcd: Etcd
) -> None:
    program = serve("--sandbox", settings=settings(etcd.url))
    program.addresses()
    eventually(etcd.entries)

    program.send(signal.SIGKILL)
    program.ended(STOP_SECONDS)

    assert etcd.entries()
    # etcd looks for leases that have ended twice a second.
    eventually(lambda: not etcd.entries(), LEASE_SECONDS + 3)


@needs_etcd
def test_what_others_do_to_the_entry_is_undone(serve: Start, etcd: Etcd) -> None:
    program = serve("--sandbox", settings=settings(etcd.url))
    _, http_door = program.addresses()
    eventually(etcd.entries)
    ((key, (value, lease)),) = etcd.entries().items()

    etcd.delete(key)
    eventually(lambda: etcd.entries() == {key: (value, lease)})

    etcd.revoke(lease)
    eventually(etcd.entries)
    ((again, (same, another)),) = etcd.entries().items()
    assert (again, same) == (key, value)
    assert another != lease
    eventually(lambda: told(http_door)['registrations_total{where="etcd"}'] == 3)
    assert told(http_door)['failures_total{reason="lease_lost",where="etcd"}'] == 1


@needs_etcd
def test_callers_do_not_notice_that_etcd_was_away_and_forgot_everything(
    serve: Start, etcd: Etcd
) -> None:
    program = serve("--sandbox", settings=settings(etcd.url))
    grpc_door, http_door = program.addresses()
    eventually(etcd.entries)
    before = etcd.entries()

    etcd.kill()
    eventually(lambda: not told(http_door)['registered{where="etcd"}'])
    assert bars(grpc_door) == 5
    assert got(f"http://{http_door}/readyz")[0] == 200
    etcd.start()
    assert bars(grpc_door) == 5

    eventually(etcd.entries)
    assert {key: value for key, (value, _) in etcd.entries().items()} == {
        key: value for key, (value, _) in before.items()
    }
    eventually(lambda: told(http_door)['registered{where="etcd"}'])
    complaints = program.stopped().complaints
    # One line when it began; the next one is a minute later.
    assert (
        complaints.count("registered at etcd") + complaints.count("registering failed")
        <= 2
    )
    assert etcd.entries() == {}


@needs_etcd
def test_a_server_that_starts_before_its_etcd_is_found_later(
    serve: Start, tmp_path: Path
) -> None:
    etcd = Etcd(tmp_path)
    nobody = f"http://127.0.0.1:{free_port()}"
    program = serve("--sandbox", settings=settings(nobody, etcd.url))
    grpc_door, http_door = program.addresses()
    assert bars(grpc_door) == 5
    unavailable = 'failures_total{reason="unavailable",where="etcd"}'
    eventually(lambda: told(http_door)[unavailable] >= 3)

    with etcd:
        eventually(etcd.entries)
        complaints = program.stopped().complaints
        assert etcd.entries() == {}

    assert complaints.count("registering failed: etcd (") == 1


def test_an_etcd_that_hangs_keeps_nobody_waiting(serve: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        program = serve("--sandbox", settings=settings(endpoint))
        grpc_door, http_door = program.addresses()

        assert bars(grpc_door) == 5
        assert told(http_door)['registered{where="etcd"}'] == 0
        assert program.stopped().status == 0


@needs_etcd
@needs_etcdctl
def test_a_wrong_password_is_told_once_and_may_be_mended(
    serve: Start, etcd: Etcd
) -> None:
    etcd.control("user", "add", "root:secret")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("user", "add", "server:other-than-ours")
    etcd.control("role", "add", "register")
    etcd.control(
        *("role", "grant-permission", "register", "--prefix=true"),
        *("readwrite", f"{SERVICE}/"),
    )
    etcd.control("user", "grant-role", "server", "register")
    etcd.control("auth", "enable")
    program = serve(
        "--sandbox",
        settings=settings(
            etcd.url,
            etcd_username="server",
            etcd_password="our-own-password",
            advertise_address="ingestion.example:0",
            # Checking a password takes an etcd long on purpose.
            lease_seconds="15",
        ),
    )
    grpc_door, http_door = program.addresses()
    refused = 'failures_total{reason="refused",where="etcd"}'
    eventually(lambda: told(http_door)[refused] >= 2)
    assert bars(grpc_door) == 5

    etcd.control(
        *("user", "passwd", "server", "--interactive=false"),
        login="root:secret",
        typed="our-own-password\n",
    )

    token = etcd.ask("auth/authenticate", {"name": "root", "password": "secret"})
    eventually(lambda: etcd.entries(token=token["token"]))
    port = grpc_door.rpartition(":")[2]
    assert list(etcd.entries(token=token["token"])) == [
        f"{SERVICE}/ingestion.example:{port}"
    ]
    complaints = program.stopped().complaints
    assert complaints.count("invalid user ID or password") == 1
    assert "our-own-password" not in complaints
    assert etcd.entries(token=token["token"]) == {}


@needs_etcd
def test_an_etcd_at_https_is_trusted_by_its_authority(
    serve: Start, tmp_path: Path
) -> None:
    certificate, key = certified(tmp_path)
    files = ("--cert-file", str(certificate), "--key-file", str(key))
    with Etcd(tmp_path, *files, scheme="https") as etcd:
        trusting = settings(etcd.url, etcd_ca_file=str(certificate))
        program = serve("--sandbox", settings=trusting)
        _, http_door = program.addresses()

        eventually(lambda: told(http_door)['registered{where="etcd"}'])

        stranger = serve("--sandbox", settings=settings(etcd.url))
        _, its_http_door = stranger.addresses()
        unavailable = 'failures_total{reason="unavailable",where="etcd"}'
        eventually(lambda: told(its_http_door)[unavailable])
        assert "certificate that is not valid" in stranger.stopped().complaints


@needs_etcd
def test_the_client_in_the_documentation_finds_all_servers(
    serve: Start, etcd: Etcd
) -> None:
    text = (ROOT / "docs" / "discovery.md").read_text()
    fence = re.search(r"```python\n(.*?)\n```\n", text, re.DOTALL)
    assert fence is not None
    snippet: dict[str, Any] = {}
    exec(fence[1], snippet)  # noqa: S102
    doors = set()
    for _ in range(2):
        program: Program = serve("--sandbox", settings=settings(etcd.url))
        doors.add(program.addresses()[0])
    eventually(lambda: len(etcd.entries()) == len(doors))

    found = snippet["addresses"](etcd.url, SERVICE)
    with snippet["channel"](etcd.url, SERVICE) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        reply = health.Check(
            health_pb2.HealthCheckRequest(), timeout=START_SECONDS, wait_for_ready=True
        )

    assert set(found) == doors
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_prometheus_finds_it_in_a_file_until_it_is_told_to_stop(
    serve: Start, tmp_path: Path
) -> None:
    file = tmp_path / "targets.json"
    named = {
        "INGESTION_DISCOVERY__FILE_SD_PATH": str(file),
        "INGESTION_DISCOVERY__ADVERTISE_HTTP_ADDRESS": "ingestion.example:0",
    }
    program = serve("--sandbox", settings=named)
    port = program.addresses()[1].rpartition(":")[2]
    eventually(file.exists)

    assert json.loads(file.read_text()) == [
        {
            "targets": [f"ingestion.example:{port}"],
            "labels": {"service": SERVICE, "version": VERSION},
        }
    ]

    assert program.stopped().status == 0
    assert list(tmp_path.glob("*.json")) == []


def test_the_file_is_one_that_prometheus_reads(serve: Start, tmp_path: Path) -> None:
    promtool = binary("promtool")
    file, config = tmp_path / "targets.json", tmp_path / "prometheus.yml"
    program = serve(
        "--sandbox", settings={"INGESTION_DISCOVERY__FILE_SD_PATH": str(file)}
    )
    program.addresses()
    eventually(file.exists)
    config.write_text(
        "scrape_configs: [{job_name: house, file_sd_configs: "
        f"[{{files: ['{file}']}}]}}]"
    )

    subprocess.run(  # noqa: S603
        [promtool, "check", "config", str(config)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_a_path_that_cannot_be_written_is_a_warning(
    serve: Start, tmp_path: Path
) -> None:
    file = tmp_path / "no-such-folder" / "targets.json"
    named = {"INGESTION_DISCOVERY__FILE_SD_PATH": str(file)}
    program = serve("--sandbox", settings=named)
    grpc_door, http_door = program.addresses()
    eventually(
        lambda: told(http_door)['failures_total{reason="unwritable",where="file_sd"}']
    )

    assert bars(grpc_door) == 5
    ended = program.stopped()
    assert ended.status == 0
    assert f"{file} is not written: No such file or directory" in ended.complaints


def test_where_nobody_is_to_find_it_the_page_is_silent(serve: Start) -> None:
    program = serve("--sandbox")
    _, http_door = program.addresses()

    assert told(http_door) == {}


def test_certificates_that_are_not_there_end_the_start(serve: Start) -> None:
    named = settings("https://127.0.0.1:1", etcd_ca_file="/nowhere/ca.pem")
    program = serve("--sandbox", settings=named)

    ended = program.ended(START_SECONDS)

    assert ended.status == 6
    assert "/nowhere/ca.pem (discovery.etcd_ca_file): No such file" in ended.complaints


@needs_etcd
def test_a_stop_does_not_wait_for_an_etcd_that_has_begun_to_hang(
    serve: Start, etcd: Etcd
) -> None:
    program = serve("--sandbox", settings=settings(etcd.url))
    program.addresses()
    eventually(etcd.entries)
    assert etcd.process is not None
    etcd.process.send_signal(signal.SIGSTOP)

    ended = program.stopped()

    assert ended.status == 0
    assert "not deregistered, so the entry stays for up to 2 s" in ended.complaints
    assert "Traceback" not in ended.complaints
