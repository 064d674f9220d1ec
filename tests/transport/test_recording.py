"""What is kept of exchanges, and that it can be answered from."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.transport.aiohttp_transport import AiohttpTransport
from ingestion_server.transport.naming import ending_of
from ingestion_server.transport.recording import RecordingError, RecordingTransport
from ingestion_server.transport.redaction import Redactor
from ingestion_server.transport.replay import ReplayTransport
from tests.transport.fakes import (
    HOST,
    HOSTS,
    KEY,
    NAME,
    NOW_NS,
    Acme,
    FakeClock,
    FakeTransport,
    ask,
    bars,
    serving,
)

JSON = {"content-type": "application/json"}
CRUMB = "cRuMb.12345"


async def record(
    folder: Path,
    *requests: HttpRequest,
    body: bytes = b"{}",
    clock: FakeClock | None = None,
    **facts: object,
) -> list[Path]:
    """Record some requests that are all answered alike; list the bodies."""
    answer = HttpResponse(200, body, headers=JSON, received_at_ns=NOW_NS)
    transport = await RecordingTransport.open(
        FakeTransport(msgspec.structs.replace(answer, **facts)),
        folder,
        [Acme()],
        clock=clock or FakeClock(),
        redactor=Redactor(lambda: [KEY]),
    )
    for request in requests:
        await transport.send(request, timeout_seconds=1)
    return await asyncio.to_thread(bodies_in, folder)


def bodies_in(folder: Path) -> list[Path]:
    """List the bodies of all vendors."""
    found = (p for p in folder.glob("*/*") if not p.name.endswith(".meta.json"))
    return sorted(found)


def everything_in(folder: Path) -> str:
    """Read names and contents of all files."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{path} {path.read_text()}" for path in files)


async def test_a_round_trip_gives_equal_answers(
    tmp_path: Path, clock: FakeClock
) -> None:
    requests = [ask(symbol=s) for s in ("IBM", "^GSPC", "GC=F", "EUR/USD", "🍎")]

    async def handler(request: web.Request) -> web.Response:
        reply = web.json_response({"symbol": request.query["symbol"], "end": 5})
        reply.headers.add("X-Many", "1")
        reply.headers.add("X-Many", "2")
        return reply

    async with (
        serving(handler) as server,
        AiohttpTransport(clock=clock, hosts=HOSTS, rebase=server.url) as live,
    ):
        recorder = await RecordingTransport.open(live, tmp_path, [Acme()], clock=clock)
        recorded = [await recorder.send(r, timeout_seconds=5) for r in requests]
        assert recorder.as_of_ns(requests[0]) is None
    replay = await ReplayTransport.open(tmp_path, [Acme()])

    assert [await replay.send(r, timeout_seconds=5) for r in requests] == recorded
    assert replay.as_of_ns(requests[0]) == NOW_NS


async def test_the_format_is_that_of_the_recordings(tmp_path: Path) -> None:
    (body,) = await record(
        tmp_path,
        ask(symbol="IBM", key=KEY),
        body=b'{"a": 1}',
        headers=JSON | {"set-cookie": "A3=d=secret; Path=/\nB=2"},
    )

    assert body == tmp_path / "acmecorp" / "bars-IBM-20250324T135133Z.json"
    assert body.read_bytes() == b'{"a": 1}'
    assert body.with_name(body.name + ".meta.json").read_text() == (
        "{\n"
        ' "headers": {\n'
        '  "content-type": "application/json",\n'
        '  "set-cookie": [\n'
        '   "A3=***; Path=/",\n'
        '   "B=***"\n'
        "  ]\n"
        " },\n"
        ' "recorded": "Mon, 24 Mar 2025 13:51:33 GMT",\n'
        ' "status": 200,\n'
        f' "url": "https://{HOST}/bars?symbol=IBM&key=***"\n'
        "}\n"
    )


async def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    cookie = ("Cookie", "A3=d=AQABBSBX")
    signed = msgspec.structs.replace(
        ask("/bars", symbol="IBM", crumb=CRUMB, key="another+key"), headers=(cookie,)
    )
    leaky = f"{KEY} {CRUMB} another+key another%2Bkey d=AQABBSBX crumb=zzz".encode()

    await record(
        tmp_path,
        signed,
        msgspec.structs.replace(signed, url=f"https://{HOST}/bars/{KEY}"),
        body=leaky,
        headers={"location": f"/x?crumb={CRUMB}", "cookie": "a=b", "x": "another+key"},
    )
    (crumb,) = await record(tmp_path / "2", ask("/v1/getcrumb"), body=b"zzzzzzzz")

    written = await asyncio.to_thread(everything_in, tmp_path)
    for secret in (KEY, "k3y", CRUMB, "another", "AQABBSBX", "zzz", "a=b"):
        assert secret not in written
    assert crumb.read_text() == "***"


async def test_equal_requests_get_distinct_names(tmp_path: Path) -> None:
    same = [ask(symbol="IBM")] * 3
    bodies = await record(tmp_path, *same)

    assert len(bodies) == 3
    assert sorted(p.name for p in bodies) == [
        "bars-IBM-20250324T135133Z-2.json",
        "bars-IBM-20250324T135133Z-3.json",
        "bars-IBM-20250324T135133Z.json",
    ]


@pytest.mark.parametrize(
    "symbol",
    ["../../etc/passwd", "A/B", "🍎", "^GSPC", "GC=F", "a\0b", "x" * 500, ".", "CON:"],
)
async def test_names_are_safe_for_any_symbol(tmp_path: Path, symbol: str) -> None:
    (body,) = await record(tmp_path, ask(symbol=symbol))

    assert body.parent == tmp_path / "acmecorp"
    assert not body.name.startswith(".")
    assert set(body.name) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.=^_+-"
    )
    assert len(body.name) < 160


async def test_nothing_to_name_it_by_is_a_name_as_well(tmp_path: Path) -> None:
    (body,) = await record(tmp_path, HttpRequest(NAME, f"https://{HOST}"))

    assert body.name == "answer-20250324T135133Z.json"


@pytest.mark.parametrize(
    ("kind", "body", "ending"),
    [
        ("text/html; charset=utf-8", b"", "html"),
        ("text/csv", b"", "csv"),
        ("application/x-download", b"timestamp,open\n1,2", "csv"),
        ("", b" [1]", "json"),
        ("", b"<!doctype", "html"),
        ("text/plain", b"crumb", "txt"),
    ],
)
def test_the_ending_tells_the_kind(kind: str, body: bytes, ending: str) -> None:
    assert ending_of(HttpResponse(200, body, {"content-type": kind})) == ending


async def test_an_answer_after_redirects_is_found_by_what_was_asked(
    tmp_path: Path,
) -> None:
    elsewhere, alike = (
        "https://www.acme.test/wall",
        "https://www.acme.test/bars?symbol=A",
    )

    (strange,) = await record(tmp_path / "1", ask(symbol="A"), url=elsewhere)
    (moved,) = await record(tmp_path / "2", ask(symbol="A"), url=alike)

    def url(body: Path) -> str:
        facts = json.loads(body.with_name(body.name + ".meta.json").read_bytes())
        return str(facts["url"])

    assert url(strange) == f"https://{HOST}/bars?symbol=A"
    assert url(moved) == alike


async def test_a_broken_disk_costs_a_warning_a_minute_and_no_answer(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = HttpResponse(200, bars("IBM"), received_at_ns=NOW_NS)
    folder = tmp_path / "records"
    transport = await RecordingTransport.open(
        FakeTransport(answer), folder, [Acme()], clock=clock
    )
    shutil.rmtree(folder)
    folder.write_text("in the way")

    with caplog.at_level(logging.WARNING):
        for seconds in (0, 59, 61):
            clock.seconds = seconds
            assert await transport.send(ask(key=KEY), timeout_seconds=1) is answer

    assert len(caplog.records) == 2
    assert "3 answers were served, but not kept" in caplog.text
    assert str(folder) in caplog.text
    assert KEY not in caplog.text


async def test_a_torn_pair_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ingestion_server.transport.envelope.encoded", full)

    assert await record(tmp_path, ask(symbol="IBM")) == []


async def test_a_folder_that_cannot_be_written_to_is_an_error_at_once(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(RecordingError, match=f"cannot record into {blocked}") as error:
        await record(blocked)

    assert isinstance(error.value, OSError)
