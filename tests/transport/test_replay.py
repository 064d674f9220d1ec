"""Answers out of a folder."""

from __future__ import annotations

import dataclasses
import gzip
import json
import logging
import os
from pathlib import Path

import msgspec
import pytest

from ingestion_server.domain.errors import NoDataUnexplainedError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.transport import shelf
from ingestion_server.transport.replay import ReplayError, ReplayTransport
from tests.transport.fakes import HOST, KEY, NAME, Acme, ask, bars

RECORDED = "Thu, 19 Aug 2021 11:43:06 GMT"
RECORDED_NS = 1_629_373_386 * SECOND_NS
ALIAS = "https://www.acme.test/bars?symbol=A&_=12345&key=***"


def put(
    folder: Path,
    name: str,
    body: bytes,
    url: str = f"https://{HOST}/bars?symbol=A",
    **facts: object,
) -> Path:
    """Put a body and its envelope into a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    meta = {"headers": {}, "recorded": RECORDED, "status": 200, "url": url} | facts
    path.with_name(f"{name}.meta.json").write_text(json.dumps(meta, indent=1))
    return path


def spanning(request: HttpRequest, start: int, end: int) -> HttpRequest:
    """Ask for a stretch of seconds."""
    span = Span(start * SECOND_NS, end * SECOND_NS)
    return msgspec.structs.replace(request, span=span)


async def opened(folder: Path) -> ReplayTransport:
    """Replay a folder."""
    return await ReplayTransport.open(folder, [Acme()])


async def body_of(replay: ReplayTransport, request: HttpRequest) -> bytes:
    """Return the body that answers."""
    return (await replay.send(request, timeout_seconds=1)).body


async def test_a_recording_answers_with_all_it_tells(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.json",
        bars("A"),
        ALIAS,
        status=404,
        headers={"X-One": "1", "Set-Cookie": ["a=***", "b=***"]},
    )

    response = await (await opened(tmp_path)).send(
        ask(symbol="A", key=KEY), timeout_seconds=1
    )

    assert (response.status, response.body) == (404, bars("A"))
    assert response.headers == {"x-one": "1", "set-cookie": "a=***\nb=***"}
    assert response.received_at_ns == RECORDED_NS
    assert response.url == ALIAS


async def test_what_covers_most_of_the_asked_time_answers(tmp_path: Path) -> None:
    put(tmp_path, "1", bars("A", 0, 100))
    put(tmp_path, "2", bars("A", 100, 200))
    put(tmp_path, "3", bars("A", 500, 600), recorded="2022-01-01T00:00:00+00:00")
    put(tmp_path, "4", b"sorry", status=429)
    replay = await opened(tmp_path)
    request = ask(symbol="A")

    async def answered(start: int, end: int) -> bytes:
        return await body_of(replay, spanning(request, start, end))

    assert await answered(50, 120) == bars("A", 0, 100)
    assert await answered(80, 190) == bars("A", 100, 200)
    assert await answered(210, 300) == bars("A", 100, 200)
    assert await answered(400, 450) == bars("A", 500, 600)
    # Nobody says which time is meant: the latest.
    assert await body_of(replay, request) == bars("A", 500, 600)
    assert replay.as_of_ns(spanning(request, 500, 501)) == 1_640_995_200 * SECOND_NS
    assert replay.as_of_ns(spanning(request, 0, 50)) == RECORDED_NS


async def test_a_window_must_be_equal_but_tells_nothing_of_the_resource(
    tmp_path: Path,
) -> None:
    url = f"https://{HOST}/bars?symbol=A&month=2021-"
    put(tmp_path, "1", bars("A", 0, 9), url + "01")
    put(tmp_path, "2", bars("A", 10, 19), url + "02", recorded="2020-01-01")
    replay = await opened(tmp_path)

    february = spanning(ask(symbol="A", month="2021-02"), 0, 9)
    assert await body_of(replay, february) == bars("A", 10, 19)
    assert replay.as_of_ns(february) == RECORDED_NS
    assert replay.as_of_ns(ask(symbol="A", month="1999-01")) is not None
    assert replay.as_of_ns(ask(symbol="B")) is None
    with pytest.raises(NoDataUnexplainedError):
        await body_of(replay, ask(symbol="A", month="1999-01"))


async def test_what_is_not_there_is_named_without_its_key(tmp_path: Path) -> None:
    put(tmp_path, "a", bars("A"))
    replay = await opened(tmp_path)

    with pytest.raises(NoDataUnexplainedError) as caught:
        await replay.send(ask("/bars", symbol="B", key=KEY), timeout_seconds=1)

    assert str(caught.value) == (
        f"the recordings in {tmp_path} hold no answer to GET https://{HOST}/bars?"
        "symbol=B&key=*** (identity page=/bars, symbol=B)"
    )
    assert caught.value.provider == NAME


@pytest.mark.parametrize(
    "request_", [ask("/else"), HttpRequest("nobody", f"https://{HOST}/bars?symbol=A")]
)
async def test_what_no_provider_knows_is_not_there(
    tmp_path: Path, request_: HttpRequest
) -> None:
    put(tmp_path, "a", bars("A"))
    replay = await opened(tmp_path)

    assert replay.as_of_ns(request_) is None
    with pytest.raises(NoDataUnexplainedError, match="of no known kind"):
        await replay.send(request_, timeout_seconds=1)


async def test_without_an_envelope_the_manifest_tells_the_url(tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "a.json").write_bytes(bars("", 3, 4))
    (folder / "b.json.gz").write_bytes(gzip.compress(b"gone"))
    os.utime(folder / "b.json.gz", ns=(0, 77 * SECOND_NS))
    (tmp_path / "MANIFEST.tsv").write_text(
        "file\tprovider\tendpoint_url\thttp_status\n"
        f"acme/a.json\tacme\thttps://{HOST}/bars?symbol=A\t\n"
        f"acme/b.json\tacme\thttps://{HOST}/bars?symbol=B\t404\n"
    )
    replay = await opened(tmp_path)

    a = await replay.send(ask(symbol="A"), timeout_seconds=1)
    b = await replay.send(ask(symbol="B"), timeout_seconds=1)

    # Recorded not before the end of what it tells; or else, when the file was written.
    assert (a.status, a.received_at_ns) == (200, 4 * SECOND_NS)
    assert (b.status, b.body, b.received_at_ns) == (404, b"gone", 77 * SECOND_NS)


async def test_without_any_url_the_body_tells_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(bars("A", 1, 2))

    response = await (await opened(tmp_path)).send(
        ask(symbol="A", key=KEY), timeout_seconds=1
    )

    assert response.body == bars("A", 1, 2)
    assert response.url == f"https://{HOST}/bars?symbol=A&key=***"


@pytest.mark.parametrize("meta", ["a.json.gz.meta.json", "a.json.meta.json"])
async def test_a_packed_body_is_read_as_its_content(tmp_path: Path, meta: str) -> None:
    packed = put(tmp_path, "a.json.gz", gzip.compress(bars("A")))
    packed.with_name("a.json.gz.meta.json").rename(tmp_path / meta)

    response = await (await opened(tmp_path)).send(ask(symbol="A"), timeout_seconds=1)

    assert (response.body, response.received_at_ns) == (bars("A"), RECORDED_NS)


async def test_what_is_no_answer_is_counted_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "a.json", bars("A"))
    put(tmp_path, "foreign.json", bars("A"), "https://evil.test/bars?symbol=A")
    put(tmp_path, "socket.txt", bars("A"), f"wss://{HOST}/bars?symbol=A")
    put(tmp_path, "odd.json", bars("A"), "https://[half")
    put(tmp_path, "torn.json", bars("A"), headers="none")
    put(tmp_path, "torn.json.gz", gzip.compress(bars("A"))[:10])
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "capture.pcap").write_bytes(bytes(range(256)))
    (tmp_path / ".hidden").write_bytes(bars("A"))

    with caplog.at_level(logging.INFO):
        await opened(tmp_path)

    (line,) = caplog.messages
    assert line == (
        f"replaying 1 answers out of {tmp_path}; 7 other files hold none of {NAME}"
    )


async def test_a_reader_that_stumbles_loses_only_its_file(tmp_path: Path) -> None:
    @dataclasses.dataclass
    class Stumbling(Acme):
        def body_span(self, url: str, body: bytes) -> Span | None:
            if b"bad" in body:
                raise KeyError("bad")
            return super().body_span(url, body)

    put(tmp_path, "1", b'{"bad": 1}')
    put(tmp_path, "2", bars("A"))

    replay = await ReplayTransport.open(tmp_path, [Stumbling()])

    assert await body_of(replay, ask(symbol="A")) == bars("A")


async def test_nothing_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    put(folder, "inside.json", bars("A", 0, 1))
    secret = put(outside, "b.json", bars("B"), f"https://{HOST}/bars?symbol=B")
    (folder / "link.json").symlink_to(secret)
    (folder / "links").symlink_to(outside)
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")

    replay = await opened(folder)

    assert replay.as_of_ns(ask(symbol="A")) is not None
    assert replay.as_of_ns(ask(symbol="B")) is None


async def test_a_recording_that_vanished_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.json", bars("A"))
    replay = await opened(tmp_path)
    path.unlink()

    with pytest.raises(NoDataUnexplainedError, match=r"a\.json cannot be read"):
        await replay.send(ask(symbol="A"), timeout_seconds=1)


async def test_folders_that_cannot_be_replayed_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReplayError, match="there is no such folder"):
        await opened(tmp_path / "nowhere")
    with pytest.raises(ReplayError, match=f"none of its 0 files .* {NAME}"):
        await opened(tmp_path)

    (tmp_path / "MANIFEST.tsv").write_text("")
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(ReplayError, match="none of its 1 files"):
        await opened(tmp_path)

    put(tmp_path, "a.json", bars("A"))
    monkeypatch.setattr(shelf, "_MOST_FILES", 1)
    with pytest.raises(ReplayError, match="more than 1 files"):
        await opened(tmp_path)


@pytest.mark.parametrize("name", ["big.json", "bomb.json.gz"])
async def test_what_is_too_large_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    big = bars("A") + b" " * 10_000
    put(tmp_path, name, gzip.compress(big) if name.endswith("gz") else big)
    put(tmp_path, "b.json", bars("B"), f"https://{HOST}/bars?symbol=B")
    monkeypatch.setattr(shelf, "_LARGEST", 1000)

    replay = await opened(tmp_path)

    assert replay.as_of_ns(ask(symbol="A")) is None
    assert replay.as_of_ns(ask(symbol="B")) == RECORDED_NS
