"""What the command `stream` does: write live data as they come, until it is enough."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ingestion_server.cli import failure
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.stream_lines import Story, count_of, instant, item_line
from ingestion_server.cli.stream_table import Sheet
from ingestion_server.cli.watching import absence
from ingestion_server.cli.writing import span
from ingestion_server.client import (
    Client,
    DeadlineExceededError,
    IngestionClientError,
    LiveBar,
    Quote,
    ServerStoppingError,
    ServerUnreachableError,
    StreamEvent,
    StreamItem,
    StreamMessage,
    StreamOptions,
    Trade,
)

_REDRAWN_SECONDS: Final = 0.25
_PLURALS: Final = {Trade: "trades", Quote: "quotes", LiveBar: "bars"}
_TOLD: Final = ("trades", "quotes", "bars", "gaps", "interruptions")
"""What is counted, in the order of the summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Say when a stream is enough; None = only Ctrl-C ends it."""

    seconds: float | None = None
    items: int | None = None


def run(
    symbols: Sequence[str],
    options: StreamOptions,
    *,
    as_json: bool,
    ending: Ending,
    target: str,
) -> Exit:
    """Write live data until it is enough, and tell the exit status."""
    aside = Console(stderr=True)
    console = Console()
    tally = _Tally()
    output: _Output
    if as_json:
        output = _Json(aside)
    elif console.is_terminal and not console.is_dumb_terminal:
        # Nothing can be redrawn in a file.
        output = _Picture(console, Sheet(symbols, list(options["kinds"])))
    else:
        output = _Lines(aside)
    try:
        asyncio.run(_follow(symbols, options, output, tally, ending, target))
    except KeyboardInterrupt:
        pass
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)
    aside.print(Text(tally.summary()), soft_wrap=True)
    return Exit.OK


async def _follow(
    symbols: Sequence[str],
    options: StreamOptions,
    output: _Output,
    tally: _Tally,
    ending: Ending,
    target: str,
) -> None:
    """Hand on messages until it is enough."""

    def interrupted(error: IngestionClientError) -> None:
        tally.counts["interruptions"] += 1
        output.interrupt(f"{_absence(error)}; waiting for {target}")

    async with Client(target) as client:
        stream = client.stream(
            *symbols, heartbeats=True, on_interruption=interrupted, **options
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(ending.seconds), stream, output.open():
                async for message in stream.messages():
                    output.write(tally.take(message, ending.items))
                    if tally.told == ending.items:
                        return


class _Tally:
    """Count what has come."""

    def __init__(self) -> None:
        self.told = 0
        """Trades, quotes and bars."""
        self.counts: Final = Counter[str]()
        self._began: Final = time.monotonic()

    def take(self, message: StreamMessage, most: int | None) -> StreamMessage:
        """Count items, and leave out those that are more than enough."""
        taken: list[StreamItem] = []
        for item in message.items:
            if isinstance(item, StreamEvent):
                self.counts["gaps"] += item.kind == "gap"
            elif self.told == most:
                break
            else:
                self.told += 1
                self.counts[_PLURALS[type(item)]] += 1
            taken.append(item)
        return replace(message, items=tuple(taken))

    def summary(self) -> str:
        """Tell in a line what has come."""
        told = [
            count_of(self.counts[kind], kind) for kind in _TOLD if self.counts[kind]
        ]
        lasted = timedelta(seconds=time.monotonic() - self._began)
        return f"{', '.join(told) or 'nothing'} in {span(lasted)}"


class _Output(Protocol):
    """Be where live data are written."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Be ready while the block lasts."""
        ...

    def write(self, message: StreamMessage) -> None:
        """Write a message."""
        ...

    def interrupt(self, why: str) -> None:
        """Say what keeps the server from telling more."""
        ...


class _Json:
    """Write a line per message."""

    def __init__(self, aside: Console) -> None:
        self._aside: Final = aside

    def open(self) -> AbstractAsyncContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def write(self, message: StreamMessage) -> None:
        """Write the message of the contract."""
        sys.stdout.write(message.to_json(indent=None) + "\n")
        sys.stdout.flush()

    def interrupt(self, why: str) -> None:
        """Say it beside the data."""
        self._aside.print(why, soft_wrap=True)


class _Lines:
    """Write a line per item."""

    def __init__(self, aside: Console) -> None:
        self._aside: Final = aside
        self._story: Final = Story()

    def open(self) -> AbstractAsyncContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def write(self, message: StreamMessage) -> None:
        """Write the items."""
        for item in message.items:
            if not isinstance(item, StreamEvent):
                sys.stdout.write(item_line(item) + "\n")
            elif told := self._story.tell(item):
                sys.stdout.write(f"{instant(item.time)} {told}\n")
        sys.stdout.flush()

    def interrupt(self, why: str) -> None:
        """Say it beside the data."""
        self._aside.print(why, soft_wrap=True)


class _Picture:
    """Redraw a table in place."""

    def __init__(self, console: Console, sheet: Sheet) -> None:
        self._console: Final = console
        self._sheet: Final = sheet
        self._live: Final = Live(
            console=console, auto_refresh=False, get_renderable=self._drawn
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Redraw every so often, since ages grow while nothing comes."""
        redrawing = asyncio.create_task(self._redraw())
        try:
            yield
        finally:
            redrawing.cancel()
            await asyncio.gather(redrawing, return_exceptions=True)
            self._live.stop()

    def write(self, message: StreamMessage) -> None:
        """Take what was said; the first message takes the screen."""
        self._sheet.hear(message, time.monotonic())
        # Not before: a wrong symbol or target is told without a table.
        self._live.start(refresh=not self._live.is_started)

    def interrupt(self, why: str) -> None:
        """Say it below the table."""
        self._sheet.note = why

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(_REDRAWN_SECONDS)
            if self._live.is_started:
                self._live.refresh()

    def _drawn(self) -> RenderableType:
        return self._sheet.drawn(
            moment=datetime.now(UTC),
            now=time.monotonic(),
            width=self._console.width,
            height=self._console.height,
        )


def _absence(error: IngestionClientError) -> str:
    match error:
        case ServerUnreachableError() | ServerStoppingError() | DeadlineExceededError():
            return absence(error)
        case _:
            return error.message
