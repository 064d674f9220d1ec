"""How something is watched until Ctrl-C: drawn in place, and outlasting the server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, nullcontext
from typing import Final, Generic, NoReturn, Protocol, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

from ingestion_server.cli import failure, frame
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import Frame
from ingestion_server.client import (
    Client,
    DeadlineExceededError,
    IngestionClientError,
    ServerStoppingError,
    ServerUnreachableError,
)

_RENEWAL_SECONDS: Final = 5.0
"""How old that may be which nobody tells unasked."""
_PAUSE_SECONDS: Final = 0.5
_REDRAWN_PER_SECOND: Final = 2.0
AWAY: Final = (ServerUnreachableError, ServerStoppingError, DeadlineExceededError)
"""What passes when a server is started again."""


class Changes(Protocol):
    """Be one message of a watch."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the message of the contract."""
        ...


_Changes = TypeVar("_Changes", bound=Changes)


class Board(Protocol[_Changes]):
    """Be what is watched, and hold what is on show."""

    async def begin(self, client: Client) -> None:
        """Take the state as it is now; this comes before all else."""
        ...

    def stream(self, client: Client) -> AsyncGenerator[_Changes, None]:
        """Hear of changes until the server is gone."""
        ...

    async def renew(self, client: Client) -> None:
        """Ask for what nobody tells unasked."""
        ...

    def hear(self, changes: _Changes) -> Iterable[str]:
        """Apply what has changed, and return a line for each thing that happened."""
        ...

    def drawn(self, around: Frame) -> RenderableType:
        """Draw all of it."""
        ...


def watch(
    board: Board[_Changes], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Write what changes until Ctrl-C, and tell the exit status."""
    aside = Console(stderr=True)
    console = Console()
    client = Client(target, timeout_seconds=timeout_seconds)
    try:
        if as_json:
            asyncio.run(_lines(board, client, aside))
        else:
            asyncio.run(_pictures(board, client, console))
    except KeyboardInterrupt:
        return Exit.OK
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)


class _Show(Generic[_Changes]):
    """Know what is on show, since when, and what has happened since it began."""

    def __init__(self, board: Board[_Changes], console: Console) -> None:
        self._board = board
        self._console = console
        self._heard = time.monotonic()
        self._lines: deque[str] = deque(maxlen=frame.LATEST)
        self.note = ""

    async def begin(self, client: Client) -> None:
        """Show a new state; the server tells anew what has happened."""
        await self._board.begin(client)
        self._heard, self.note = time.monotonic(), ""
        self._lines.clear()

    async def follow(self, client: Client, changed: Callable[[], None]) -> None:
        """Keep up to date until the server is gone."""
        await self.begin(client)
        async with aclosing(self._board.stream(client)) as stream:
            news = asyncio.ensure_future(anext(stream, None))
            try:
                while True:
                    await self._board.renew(client)
                    await asyncio.wait({news}, timeout=_RENEWAL_SECONDS)
                    if not news.done():
                        continue
                    changes = news.result()
                    if changes is None:
                        return
                    self._lines += self._board.hear(changes)
                    self._heard = time.monotonic()
                    changed()
                    news = asyncio.ensure_future(anext(stream, None))
            finally:
                news.cancel()
                await asyncio.gather(news, return_exceptions=True)

    def drawn(self) -> RenderableType:
        """Draw all of it as it is at this moment."""
        return self._board.drawn(
            Frame(
                width=self._console.width,
                # Since then no message came, but times draw nearer.
                age_seconds=time.monotonic() - self._heard,
                lines=list(self._lines),
                note=self.note,
            )
        )


async def _pictures(
    board: Board[_Changes], client: Client, console: Console
) -> NoReturn:
    """Redraw a table in place; where there is no terminal, write one per message."""
    async with client:
        show = _Show(board, console)
        # Before anything takes the screen: a wrong vendor or target ends it.
        await show.begin(client)
        # Nothing can be redrawn in a file.
        live = (
            Live(
                console=console,
                refresh_per_second=_REDRAWN_PER_SECOND,
                get_renderable=show.drawn,
            )
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

        def changed() -> None:
            if live is None:
                console.print(show.drawn())
            else:
                live.refresh()

        def away(error: IngestionClientError) -> None:
            show.note = f"{absence(error)}; waiting for {client.target}"
            changed()

        with live or nullcontext():
            await _persist(client, lambda: show.follow(client, changed), away)


async def _lines(board: Board[_Changes], client: Client, aside: Console) -> NoReturn:
    """Write a line per message."""

    def away(error: IngestionClientError) -> None:
        aside.print(f"{absence(error)}; waiting for {client.target}", soft_wrap=True)

    async def write() -> None:
        async with aclosing(board.stream(client)) as stream:
            async for changes in stream:
                sys.stdout.write(changes.to_json(indent=None) + "\n")
                sys.stdout.flush()

    async with client:
        await board.begin(client)
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
        except AWAY as error:
            away(error)
        await comes_back(client)


async def comes_back(client: Client) -> None:
    """Wait until a server that was away serves again, however long."""
    # Something on the way may say at once, again and again, that all is well.
    await asyncio.sleep(_PAUSE_SECONDS)
    while True:
        try:
            await client.wait_until_serving()
        except ServerUnreachableError:
            continue
        return


def absence(error: IngestionClientError) -> str:
    """Tell in a few words what keeps the server from telling more."""
    match error:
        case ServerStoppingError():
            return "the server is stopping"
        case DeadlineExceededError():
            return "the server did not answer in time"
        case _:
            return "the server is gone"
