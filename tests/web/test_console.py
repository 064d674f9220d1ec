"""The page is served whole, to our own names only, and tells what failed of late."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import pytest

from ingestion_server.ports.hooks import RpcDetails
from ingestion_server.web.failures import MOST_KEPT
from tests.hearing import tell
from tests.web.console import READ, FakeRpcs, Visitor, visited

MOST_BYTES = 120_000


async def got(
    visitor: Visitor, path: str, **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    """Get a page as it is sent."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    async with visitor.session.get(
        visitor.url(path), headers={"Accept-Encoding": "identity"} | told
    ) as reply:
        return reply.status, reply.headers, await reply.read()


async def test_the_page_may_load_nothing_but_its_own_files() -> None:
    async with visited(FakeRpcs()) as visitor:
        status, headers, body = await got(visitor, "/")

    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    text = body.decode()
    assert "<script>" not in text
    assert "style=" not in text
    assert 'src="http' not in text


async def test_every_file_that_the_page_names_is_there_and_all_are_small() -> None:
    async with visited(FakeRpcs()) as visitor:
        _, _, index = await got(visitor, "/")
        paths = {
            path
            for path in index.decode().replace("'", '"').split('"')
            if path.startswith("/console/")
        }
        sizes = []
        for path in [*paths, "/console/lightweight-charts-5.2.1.mjs"]:
            async with visitor.session.get(
                visitor.url(path),
                headers={"Accept-Encoding": "gzip"},
                auto_decompress=False,
            ) as reply:
                assert reply.status == 200, path
                sizes.append(len(await reply.read()))

    assert len(sizes) > 10
    assert sum(sizes) < MOST_BYTES


async def test_the_chart_library_comes_with_its_licence() -> None:
    async with visited(FakeRpcs()) as visitor:
        _, _, licence = await got(visitor, "/console/lightweight-charts.LICENSE.txt")
        _, _, notice = await got(visitor, "/console/lightweight-charts.NOTICE.txt")
        _, _, index = await got(visitor, "/")

    assert b"Apache License" in licence
    assert b"TradingView, Inc." in notice
    assert b'href="https://www.tradingview.com/"' in index


async def test_a_browser_that_has_a_file_is_not_sent_it_again() -> None:
    async with visited(FakeRpcs()) as visitor:
        _, headers, _ = await got(visitor, "/console/main.js")
        status, again, body = await got(
            visitor, "/console/main.js", If_None_Match=headers["ETag"]
        )

    assert headers["Cache-Control"] == "no-cache"
    assert (status, body) == (304, b"")
    assert again["ETag"] == headers["ETag"]


async def test_files_come_compressed_to_who_can_read_that() -> None:
    async with visited(FakeRpcs()) as visitor:
        _, _, plain = await got(visitor, "/console/console.css")
        async with visitor.session.get(
            visitor.url("/console/console.css"),
            headers={"Accept-Encoding": "gzip"},
            auto_decompress=False,
        ) as reply:
            packed = await reply.read()

    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/index.html",
        "/console/../door.py",
        "/console/..%2fdoor.py",
        "/console/nothing.js",
    ],
)
async def test_no_path_leads_elsewhere(path: str) -> None:
    async with visited(FakeRpcs()) as visitor:
        status, _, _ = await got(visitor, path)

    assert status == 404


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "10.1.2.3",
        "console.localhost",
        "console.example",
        "Console.Example.:443",
    ],
)
async def test_addresses_and_our_own_names_are_served(host: str) -> None:
    async with visited(FakeRpcs(), names=["console.example"]) as visitor:
        page, _, _ = await got(visitor, "/", Host=host)
        call, _ = await visitor.call(READ, Host=host)

    assert (page, call) == (200, 200)


@pytest.mark.parametrize(
    "host", ["rebound.example", "localhost.evil.example", "127.0.0.1.evil", "x:80", ""]
)
@pytest.mark.parametrize("path", ["/", "/console/errors", "/console/operator"])
async def test_a_name_that_is_not_ours_is_served_nothing(host: str, path: str) -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs, names=["console.example"]) as visitor:
        page, _, body = await got(visitor, path, Host=host)
        call, _ = await visitor.call(READ, Host=host)

    assert (page, call) == (403, 403)
    assert b"http.names" in body
    assert rpcs.asked == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_may_not_call(site: str) -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        status, _ = await visitor.call(READ, Sec_Fetch_Site=site)

    assert status == 403
    assert rpcs.asked == []


async def test_a_link_may_lead_here_from_another_site() -> None:
    async with visited(FakeRpcs()) as visitor:
        status, _, _ = await got(
            visitor, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate"
        )

    assert status == 200


def failed(request_id: str, **more: str) -> RpcDetails:
    """Tell of an RPC that failed."""
    told = {"code": "UNAVAILABLE", "reason": "ALL_PROVIDERS_FAILED", **more}
    return RpcDetails(
        rpc="IngestionService/Fetch",
        is_lasting=False,
        seconds=0.25,
        request_id=request_id,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        is_sampled=True,
        **told,
    )


async def test_what_failed_is_told_with_what_finds_it_in_logs_and_traces() -> None:
    async with visited(FakeRpcs()) as visitor:
        visitor.failures.failed(failed("one", message="<img src=x onerror=alert(1)>"))
        async with visitor.session.get(visitor.url("/console/errors")) as reply:
            told = await reply.json()

    assert told == {
        "sinceMs": 1_700_000_000_000,
        "count": 1,
        "failures": [
            {
                "number": 1,
                "atMs": 1_700_000_000_000,
                "rpc": "IngestionService/Fetch",
                "code": "UNAVAILABLE",
                "reason": "ALL_PROVIDERS_FAILED",
                "message": "<img src=x onerror=alert(1)>",
                "seconds": 0.25,
                "requestId": "one",
                "traceId": "0af7651916cd43dd8448eb211c80319c",
                "isSampled": True,
            }
        ],
    }


@pytest.mark.parametrize("code", ["OK", "CANCELLED"])
async def test_who_was_answered_or_left_has_not_failed(code: str) -> None:
    async with visited(FakeRpcs()) as visitor:
        tell(visitor.failures, failed("one", code=code))

        assert visitor.failures.count == 0


async def test_only_the_latest_are_kept_and_who_has_seen_them_is_told_newer_ones() -> (
    None
):
    async with visited(FakeRpcs()) as visitor:
        for number in range(MOST_KEPT + 50):
            visitor.failures.failed(failed(str(number), message="m" * 5000))
        async with visitor.session.get(visitor.url("/console/errors")) as reply:
            told = await reply.json()
        async with visitor.session.get(
            visitor.url("/console/errors?after=148")
        ) as reply:
            newer = await reply.json()
        async with visitor.session.get(visitor.url("/console/errors?after=x")) as reply:
            rubbish = await reply.json()

    assert told["count"] == MOST_KEPT + 50
    assert [one["number"] for one in told["failures"]] == list(range(51, 151))
    assert max(len(one["message"]) for one in told["failures"]) == 400
    assert [one["number"] for one in newer["failures"]] == [149, 150]
    assert rubbish == told
