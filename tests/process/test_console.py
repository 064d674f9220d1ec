"""What the page asks, other programs can ask as well, in the same words."""

from __future__ import annotations

import json
import subprocess

from tests.process.programs import BUF, ROOT, START_SECONDS, got

PACKAGE = "marketdata.ingestion.v1"


def curled(http: str, method: str, request: str, *options: str) -> tuple[int, str]:
    """Call by the Connect protocol, and return the status and what is said."""
    done = subprocess.run(  # noqa: S603
        [
            *(str(BUF), "curl", "--schema", "protos", "-d", request, *options),
            f"http://{http}/{PACKAGE}.{method}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_client_of_connect_gets_an_answer(house: tuple[str, str]) -> None:
    _, http = house

    status, said = curled(http, "IngestionService/Fetch", '{"symbol":"IBM","limit":2}')

    assert status == 0, said
    assert len(json.loads(said)["series"]["bars"]) == 2


def test_a_client_of_connect_gets_a_stream(house: tuple[str, str]) -> None:
    _, http = house
    request = '{"symbols":["IBM","AAPL"],"limit":2}'

    status, said = curled(http, "IngestionService/FetchBatch", request)

    assert status == 0, said
    assert said.count('"last": true') == 2


def test_a_client_of_connect_reads_why_it_failed(house: tuple[str, str]) -> None:
    _, http = house

    status, said = curled(http, "IngestionService/Fetch", '{"symbol":"NOPE"}')

    told = json.loads(said)
    assert status != 0
    assert told["code"] == "not_found"
    assert told["details"][0]["debug"]["reason"] == "SYMBOL_UNKNOWN"


def test_the_page_is_served_beside_the_probes(house: tuple[str, str]) -> None:
    _, http = house

    status, page = got(f"http://{http}/")

    assert status == 200
    assert "<title>Console" in page
    assert json.loads(got(f"http://{http}/healthz")[1])["status"] == "ready"
