"""Calls come as Connect has them, reach the port as they are, and fail in its words."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncGenerator

import aiohttp
import pytest

from ingestion_server.ports.rpc import Detail, Form, Question, RpcFailedError
from ingestion_server.web import connect
from tests.web.console import (
    CHANGE,
    CONNECT,
    JSON,
    READ,
    TOKEN,
    WATCH,
    FakeRpcs,
    envelopes,
    visited,
)


async def test_a_call_reaches_the_port_as_it_came_and_its_answer_comes_back() -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        status, told = await visitor.call(READ, {"symbol": "<img onerror=x>"})

    assert (status, told) == (200, {"symbol": "<img onerror=x>"})
    (asked,) = rpcs.asked
    assert (asked.method.name, asked.form) == (READ, Form.JSON)


async def test_a_call_may_come_as_protobuf() -> None:
    rpcs = FakeRpcs(answer=lambda question: question.message + b"\x02")

    async with (
        visited(rpcs) as visitor,
        visitor.session.post(
            visitor.url(f"/{READ}"),
            data=b"\x01",
            headers={"Content-Type": "application/proto"},
        ) as reply,
    ):
        assert reply.headers["Content-Type"] == "application/proto"
        assert await reply.read() == b"\x01\x02"

    assert rpcs.asked[0].form is Form.PROTO


async def test_time_and_trace_go_with_the_call_and_nothing_else_does() -> None:
    rpcs = FakeRpcs()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async with visited(rpcs) as visitor:
        await visitor.call(
            READ,
            traceparent=trace,
            X_Request_Id="mine",
            Cookie="secret=1",
            Connect_Timeout_Ms="1500",
        )

    (asked,) = rpcs.asked
    assert asked.headers == {"traceparent": trace, "x-request-id": "mine"}
    assert asked.timeout_seconds == 1.5


async def test_who_waits_no_time_at_all_is_not_taken_to_wait_for_ever() -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        await visitor.call(READ, Connect_Timeout_Ms="0")

    assert rpcs.asked[0].timeout_seconds == 0.001


async def test_a_call_that_names_no_time_ends_all_the_same() -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        await visitor.call(READ, Connect_Timeout_Ms="soon")

    assert rpcs.asked[0].timeout_seconds == 150


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("not_found", 404),
        ("unavailable", 503),
        ("resource_exhausted", 429),
        ("failed_precondition", 400),
        ("deadline_exceeded", 504),
        ("internal", 500),
        ("canceled", 499),
        ("of another day", 500),
    ],
)
async def test_a_failure_has_its_code_its_words_and_its_details(
    code: str, status: int
) -> None:
    info = Detail("google.rpc.ErrorInfo", b"\x0a\x01X", b'{"reason": "X"}')
    other = Detail("of.Others", b"\xff\xfe", None)

    def fail(question: Question) -> bytes:
        del question
        raise RpcFailedError(
            code, "no such thing", [info, other], {"x-request-id": "r"}
        )

    async with (
        visited(FakeRpcs(answer=fail)) as visitor,
        visitor.session.post(
            visitor.url(f"/{READ}"), data=b"{}", headers=JSON
        ) as reply,
    ):
        told = await reply.json()

    assert reply.status == status
    assert reply.headers["x-request-id"] == "r"
    assert told == {
        "code": code,
        "message": "no such thing",
        "details": [
            {
                "type": "google.rpc.ErrorInfo",
                "value": base64.b64encode(b"\x0a\x01X").decode().rstrip("="),
                "debug": {"reason": "X"},
            },
            {"type": "of.Others", "value": "//4"},
        ],
    }


async def test_what_is_not_served_is_unimplemented() -> None:
    async with visited(FakeRpcs()) as visitor:
        status, told = await visitor.call("shop.v1.ShopService/Steal")

    assert (status, told["code"]) == (501, "unimplemented")


async def test_a_server_that_starts_says_so() -> None:
    async with visited(RpcFailedError("unavailable", "starting")) as visitor:
        status, told = await visitor.call(READ)

    assert (status, told) == (503, {"code": "unavailable", "message": "starting"})


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
async def test_what_a_form_of_another_site_can_send_is_no_call(kind: str) -> None:
    rpcs = FakeRpcs()

    async with (
        visited(rpcs) as visitor,
        visitor.session.post(
            visitor.url(f"/{READ}"), data=b"{}", headers={"Content-Type": kind}
        ) as reply,
    ):
        assert reply.status == 415

    assert rpcs.asked == []


async def test_a_call_is_no_get() -> None:
    async with (
        visited(FakeRpcs()) as visitor,
        visitor.session.get(visitor.url(f"/{READ}")) as reply,
    ):
        assert reply.status == 405


async def test_a_compressed_request_is_refused_unread() -> None:
    async with visited(FakeRpcs()) as visitor:
        status, told = await visitor.call(READ, b"{}", Content_Encoding="br")

    assert (status, told["code"]) == (501, "unimplemented")


async def test_a_request_beyond_64_kilobytes_is_refused() -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        status, told = await visitor.call(READ, b'"' + b"x" * 70_000 + b'"')

    assert (status, told["code"]) == (429, "resource_exhausted")
    assert rpcs.asked == []


async def test_more_calls_than_there_are_places_are_refused_at_once() -> None:
    inside = asyncio.Semaphore(0)
    go_on = asyncio.Event()

    class Slow(FakeRpcs):
        async def unary(self, question: Question) -> bytes:
            inside.release()
            await go_on.wait()
            return question.message

    async with visited(Slow()) as visitor:
        calls = [
            asyncio.create_task(visitor.call(READ)) for _ in range(connect.MOST_CALLS)
        ]
        for _ in calls:
            await inside.acquire()
        status, told = await visitor.call(READ)
        go_on.set()
        answered = [status for status, _ in await asyncio.gather(*calls)]

    assert (status, told["code"]) == (429, "resource_exhausted")
    assert set(answered) == {200}


async def test_what_changes_something_is_refused_where_nobody_is_operator() -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        status, told = await visitor.call(CHANGE, Authorization=f"Bearer {TOKEN}")

    assert (status, told["code"]) == (403, "permission_denied")
    assert "http.operator_token" in str(told["message"])
    assert rpcs.asked == []


@pytest.mark.parametrize("shown", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer Ünï"])
async def test_a_wrong_token_is_none(shown: str) -> None:
    rpcs = FakeRpcs()

    async with visited(rpcs, token=TOKEN) as visitor:
        status, told = await visitor.call(
            CHANGE, **({"Authorization": shown} if shown else {})
        )

    assert (status, told["code"]) == (401, "unauthenticated")
    assert rpcs.asked == []


async def test_an_operator_may_change_something() -> None:
    async with visited(FakeRpcs(), token=TOKEN) as visitor:
        status, _ = await visitor.call(CHANGE, Authorization=f"Bearer {TOKEN}")

    assert status == 200


@pytest.mark.parametrize(
    ("shown", "status"), [(f"Bearer {TOKEN}", 204), ("Bearer no", 401)]
)
async def test_the_page_learns_whether_a_token_is_right(
    shown: str, status: int
) -> None:
    async with (
        visited(FakeRpcs(), token=TOKEN) as visitor,
        visitor.session.get(
            visitor.url("/console/operator"), headers={"Authorization": shown}
        ) as reply,
    ):
        assert reply.status == status


async def three(question: Question) -> AsyncGenerator[bytes, None]:
    """Answer three times."""
    del question
    for number in range(3):
        yield b'{"n": %d}' % number


async def test_a_stream_comes_in_envelopes_and_says_that_it_is_over() -> None:
    async with visited(FakeRpcs(answers=three)) as visitor:
        told = await visitor.streamed()

    assert told == [(0, {"n": 0}), (0, {"n": 1}), (0, {"n": 2}), (2, {})]


async def test_a_stream_that_breaks_tells_why_behind_the_last_message() -> None:
    async def broken(question: Question) -> AsyncGenerator[bytes, None]:
        del question
        yield b"{}"
        raise RpcFailedError("unavailable", "gone", headers={"x-request-id": "r"})

    async with visited(FakeRpcs(answers=broken)) as visitor:
        told = await visitor.streamed()

    assert told == [
        (0, {}),
        (
            2,
            {
                "error": {"code": "unavailable", "message": "gone"},
                "metadata": {"x-request-id": ["r"]},
            },
        ),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_argument"),
        (b"{}", "invalid_argument"),
        (b"\0\0\0\0\x09{}", "invalid_argument"),
        (b"\0\0\0\0\x02{}\0\0\0\0\x02{}", "invalid_argument"),
        (b"\x01\0\0\0\x02{}", "unimplemented"),
    ],
)
async def test_a_stream_is_asked_for_by_one_message(body: bytes, code: str) -> None:
    rpcs = FakeRpcs(answers=three)

    async with (
        visited(rpcs) as visitor,
        visitor.session.post(
            visitor.url(f"/{WATCH}"), data=body, headers=CONNECT
        ) as reply,
    ):
        ((flag, told),) = envelopes(await reply.read())

    assert flag == 2
    assert isinstance(told, dict)
    assert told["error"]["code"] == code
    assert rpcs.asked == []


async def test_who_leaves_ends_the_stream_at_the_port() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(question: Question) -> AsyncGenerator[bytes, None]:
        del question
        try:
            yield b"{}"
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with (
        visited(FakeRpcs(answers=endless)) as visitor,
        aiohttp.ClientSession() as browser,
    ):
        async with browser.post(
            visitor.url(f"/{WATCH}"), data=b"\0\0\0\0\x02{}", headers=CONNECT
        ):
            await begun.wait()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_more_streams_than_there_are_places_are_told_so_and_leave_room() -> None:
    inside, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def held(question: Question) -> AsyncGenerator[bytes, None]:
        inside.release()
        await go_on.wait()
        yield question.message

    async with visited(FakeRpcs(answers=held)) as visitor:
        streams = [
            asyncio.create_task(visitor.streamed()) for _ in range(connect.MOST_STREAMS)
        ]
        for _ in streams:
            await inside.acquire()
        ((flag, refused),) = await visitor.streamed()
        go_on.set()
        await asyncio.gather(*streams)
        again = await visitor.streamed()

    assert flag == 2
    assert isinstance(refused, dict)
    assert refused["error"]["code"] == "resource_exhausted"
    assert again == [(0, {}), (2, {})]


async def test_a_request_that_never_arrives_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "_READ_SECONDS", 0.05)
    rpcs = FakeRpcs()

    async with visited(rpcs) as visitor:
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.port)
        writer.write(
            f"POST /{READ} HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{".encode()
        )
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"}")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"deadline_exceeded" in answer
    assert rpcs.asked == []


async def test_who_leaves_takes_the_call_back() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Slow(FakeRpcs):
        async def unary(self, question: Question) -> bytes:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return question.message

    async with visited(Slow()) as visitor:
        calling = asyncio.create_task(visitor.call(READ))
        await begun.wait()
        calling.cancel()
        async with asyncio.timeout(5):
            await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await calling


ASKED = (JSON["Content-Type"], b"{}")
LONG = 8 << 20
"""More than the buffers between two ends of a connection take."""


async def unread(port: int, method: str, kind: str, body: bytes) -> socket.socket:
    """Make a call, and read nothing of its answer."""
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(caller, ("127.0.0.1", port))
    head = (
        f"POST /{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    await loop.sock_sendall(caller, head.encode() + body)
    return caller


async def left_of(caller: socket.socket) -> int:
    """Read until the other side has closed the connection, and count the bytes."""
    loop, count = asyncio.get_running_loop(), 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while data := await loop.sock_recv(caller, 1 << 16):
                count += len(data)
    return count


async def test_who_does_not_read_an_answer_keeps_his_place_until_he_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "MOST_CALLS", 2)
    monkeypatch.setattr(connect, "_WRITE_SECONDS", 1.0)
    inside = asyncio.Semaphore(0)

    def long(question: Question) -> bytes:
        del question
        inside.release()
        return bytes(LONG)

    rpcs = FakeRpcs(answer=long)

    async with visited(rpcs) as visitor:
        slow = [await unread(visitor.port, READ, *ASKED) for _ in range(2)]
        for _ in slow:
            await inside.acquire()
        crowded, _ = await visitor.call(READ)
        rpcs.answer = lambda question: question.message
        async with asyncio.timeout(10):
            while True:
                again, _ = await visitor.call(READ)
                if again != crowded:
                    break
                # There is no event of the other side's.
                await asyncio.sleep(0.05)
        left = [await left_of(caller) for caller in slow]
        for caller in slow:
            caller.close()

    assert (crowded, again) == (429, 200)
    assert max(left) < LONG


async def test_who_does_not_read_a_stream_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "_WRITE_SECONDS", 0.5)
    ended = asyncio.Event()

    async def endless(question: Question) -> AsyncGenerator[bytes, None]:
        del question
        try:
            while True:
                yield bytes(LONG)
        finally:
            ended.set()

    async with visited(FakeRpcs(answers=endless)) as visitor:
        kind, body = CONNECT["Content-Type"], b"\0\0\0\0\x02{}"
        caller = await unread(visitor.port, WATCH, kind, body)
        async with asyncio.timeout(10):
            await ended.wait()
        left = await left_of(caller)
        caller.close()

    assert left < LONG
