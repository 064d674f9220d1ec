"""What the command `quota` does: ask once, or watch and outlast the server."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import Final, NoReturn

from rich.console import Console, RenderableType
from rich.live import Live

from ingestion_server.cli import failure, quota_table
from ingestion_server.cli.exits import Exit
from ingestion_server.client import (
    Client,
    DeadlineExceededError,
    IngestionClientError,
    QuotaChanges,
    QuotaForecast,
    Quotas,
    ServerStoppingError,
    ServerUnreachableError,
    SyncClient,
)

_FORECAST_SECONDS: Final = 5.0
"""How old a forecast may be: rates fall while nothing happens, and nobody tells."""
_PAUSE_SECONDS: Final = 0.5
_REDRAWN_PER_SECOND: Final = 2.0
_AWAY: Final = (ServerUnreachableError, ServerStoppingError, DeadlineExceededError)
"""What passes when a server is started again."""


def show(
    providers: Sequence[str], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Ask once, write the answer, and tell the exit status."""
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            quotas = client.quotas(providers)
            forecast = client.forecast_quota(providers=providers)
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    if as_json:
        both = {
            "quotas": json.loads(quotas.to_json()),
            "forecast": json.loads(forecast.to_json()),
        }
        sys.stdout.write(json.dumps(both, indent=2, ensure_ascii=False) + "\n")
    else:
        console = Console()
        console.print(quota_table.drawn(quotas, forecast, width=console.width))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK


def watch(
    providers: Sequence[str], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Write what changes until Ctrl-C, and tell the exit status."""
    aside = Console(stderr=True)
    console = Console()
    try:
        if as_json:
            asyncio.run(_lines(providers, target, timeout_seconds, aside))
        else:
            asyncio.run(_pictures(providers, target, timeout_seconds, console))
    except KeyboardInterrupt:
        return Exit.OK
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)


class _Board:
    """Hold what is on show."""

    def __init__(self, console: Console, quotas: Quotas) -> None:
        self._console = console
        self._forecast: QuotaForecast | None = None
        self.begin(quotas)

    def begin(self, quotas: Quotas) -> None:
        """Show a new state; what was known of alerts is told anew."""
        self._quotas, self._heard, self.note = quotas, time.monotonic(), ""
        self._alerts: deque[str] = deque(maxlen=quota_table.LATEST_ALERTS)

    def hear(self, changes: QuotaChanges) -> None:
        """Apply what has changed."""
        self._quotas = self._quotas.updated(changes)
        self._heard = time.monotonic()
        self._alerts += map(quota_table.alert_line, changes.alerts)

    def foresee(self, forecast: QuotaForecast) -> None:
        """Show another forecast."""
        self._forecast = forecast

    def drawn(self) -> RenderableType:
        """Draw all of it as it is at this moment."""
        if self._forecast is None:
            return self.note
        return quota_table.drawn(
            self._quotas,
            self._forecast,
            width=self._console.width,
            # Since then no message came, but times draw nearer.
            age_seconds=time.monotonic() - self._heard,
            alerts=list(self._alerts),
            note=self.note,
        )


async def _pictures(
    providers: Sequence[str], target: str, timeout_seconds: float, console: Console
) -> NoReturn:
    """Redraw a table in place; where there is no terminal, write one per message."""
    async with Client(target, timeout_seconds=timeout_seconds) as client:
        # Before anything takes the screen: a wrong vendor or target ends it.
        board = _Board(console, await client.quotas(providers))
        # Nothing can be redrawn in a file.
        live = (
            Live(
                console=console,
                refresh_per_second=_REDRAWN_PER_SECOND,
                get_renderable=board.drawn,
            )
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

        def changed() -> None:
            if live is None:
                console.print(board.drawn())
            else:
                live.refresh()

        def away(error: IngestionClientError) -> None:
            board.note = f"{_absence(error)}; waiting for {target}"
            changed()

        with live or nullcontext():
            await _persist(
                client, lambda: _draw(client, providers, board, changed), away
            )


async def _draw(
    client: Client,
    providers: Sequence[str],
    board: _Board,
    changed: Callable[[], None],
) -> None:
    """Keep a board up to date until the server is gone."""
    board.begin(await client.quotas(providers))
    async with aclosing(client.watch_quotas(providers)) as stream:
        news = asyncio.ensure_future(anext(stream, None))
        try:
            while True:
                board.foresee(await client.forecast_quota(providers=providers))
                await asyncio.wait({news}, timeout=_FORECAST_SECONDS)
                if not news.done():
                    continue
                changes = news.result()
                if changes is None:
                    return
                board.hear(changes)
                changed()
                news = asyncio.ensure_future(anext(stream, None))
        finally:
            news.cancel()
            await asyncio.gather(news, return_exceptions=True)


async def _lines(
    providers: Sequence[str], target: str, timeout_seconds: float, aside: Console
) -> NoReturn:
    """Write a line per message."""

    def away(error: IngestionClientError) -> None:
        aside.print(f"{_absence(error)}; waiting for {target}", soft_wrap=True)

    async with Client(target, timeout_seconds=timeout_seconds) as client:

        async def write() -> None:
            async with aclosing(client.watch_quotas(providers)) as stream:
                async for changes in stream:
                    sys.stdout.write(changes.to_json(indent=None) + "\n")
                    sys.stdout.flush()

        await client.quotas(providers)
        await _persist(client, write, away)


async def _persist(
    client: Client,
    work: Callable[[], Awaitable[None]],
    away: Callable[[IngestionClientError], None],
) -> NoReturn:
    """Do the work anew whenever the server is back; say when it is away."""
    while True:
        try:
            await work()
        except _AWAY as error:
            away(error)
        # Something on the way may say at once, again and again, that all is well.
        await asyncio.sleep(_PAUSE_SECONDS)
        while True:
            try:
                await client.wait_until_serving()
            except ServerUnreachableError:
                continue
            break


def _absence(error: IngestionClientError) -> str:
    match error:
        case ServerStoppingError():
            return "the server is stopping"
        case DeadlineExceededError():
            return "the server did not answer in time"
        case _:
            return "the server is gone"
