"""A door with a console, over RPCs that a test decides."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from typing_extensions import override

from ingestion_server.ports.rpc import Method, Question, RpcFailedError, Rpcs
from ingestion_server.web import (
    Console,
    Guard,
    RecentFailures,
    Report,
    Stage,
    serving,
)

READ = "shop.v1.ShopService/List"
CHANGE = "shop.v1.ShopService/Buy"
WATCH = "shop.v1.ShopService/Watch"
TOKEN = "open-sesame-open-sesame"
JSON = {"Content-Type": "application/json"}
CONNECT = {"Content-Type": "application/connect+json"}


@dataclass
class FakeRpcs(Rpcs):
    """Answer as told, and remember what was asked."""

    answer: Callable[[Question], bytes] = lambda question: question.message
    answers: Callable[[Question], AsyncGenerator[bytes, None]] | None = None
    asked: list[Question] = field(default_factory=list)

    @property
    @override
    def methods(self) -> Mapping[str, Method]:
        return {
            READ: Method(READ, streams=False, only_reads=True),
            CHANGE: Method(CHANGE, streams=False, only_reads=False),
            WATCH: Method(WATCH, streams=True, only_reads=True),
        }

    @override
    async def unary(self, question: Question) -> bytes:
        self.asked.append(question)
        return self.answer(question)

    @override
    async def stream(self, question: Question) -> AsyncGenerator[bytes, None]:
        self.asked.append(question)
        assert self.answers is not None
        async for answer in self.answers(question):
            yield answer


@dataclass
class Visitor:
    """Talk to the door."""

    port: int
    session: aiohttp.ClientSession
    failures: RecentFailures

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def call(
        self, method: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, object]]:
        """Make a call, and return its status and its answer."""
        sent = json.dumps(body or {}).encode() if not isinstance(body, bytes) else body
        told = {**JSON, **{name.replace("_", "-"): headers[name] for name in headers}}
        async with self.session.post(
            self.url(f"/{method}"), data=sent, headers=told
        ) as reply:
            text = await reply.text()
        return reply.status, json.loads(text) if text else {}

    async def streamed(self, message: bytes = b"{}") -> list[tuple[int, object]]:
        """Make a call that streams, and return the flag of each envelope and it."""
        body = b"\0" + len(message).to_bytes(4) + message
        async with self.session.post(
            self.url(f"/{WATCH}"), data=body, headers=CONNECT
        ) as reply:
            assert reply.status == 200
            return envelopes(await reply.read())


def envelopes(data: bytes) -> list[tuple[int, object]]:
    """Take a stream apart."""
    found: list[tuple[int, object]] = []
    while data:
        end = 5 + int.from_bytes(data[1:5])
        found.append((data[0], json.loads(data[5:end])))
        data = data[end:]
    return found


@asynccontextmanager
async def visited(
    rpcs: FakeRpcs | RpcFailedError,
    *,
    names: Sequence[str] = (),
    token: str = "",
) -> AsyncIterator[Visitor]:
    """Serve a console, and visit it."""

    def now() -> Rpcs:
        if isinstance(rpcs, RpcFailedError):
            raise rpcs
        return rpcs

    failures = RecentFailures(lambda: 1_700_000_000_000_000_000)
    async with (
        serving(
            "127.0.0.1:0",
            lambda: Report(Stage.READY),
            metrics=lambda _: (b"", "text/plain"),
            console=Console(now, failures, Guard(names, token)),
        ) as port,
        aiohttp.ClientSession() as session,
    ):
        yield Visitor(port, session, failures)
