"""What the command `providers` does: change, and then ask once, or watch."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from rich.console import Console, RenderableType

from ingestion_server.cli import failure, provider_table, watching
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import Frame
from ingestion_server.client import (
    Client,
    IngestionClientError,
    ProviderChanges,
    Providers,
    SyncClient,
)


def change(
    switches: Mapping[str, bool],
    places: Mapping[str, int],
    *,
    target: str,
    timeout_seconds: float,
) -> Exit:
    """Change vendors, one after another until one is refused."""
    names = dict.fromkeys((*switches, *places))
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            for name in names:
                client.update_provider(
                    name, enabled=switches.get(name), priority=places.get(name)
                )
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    return Exit.OK


def show(
    names: Sequence[str], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Ask once, write the answer, and tell the exit status."""
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            vendors = client.providers().only(names)
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    if as_json:
        sys.stdout.write(vendors.to_json() + "\n")
    else:
        console = Console()
        console.print(provider_table.drawn(vendors, Frame(width=console.width)))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK


def watch(
    names: Sequence[str], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Write what changes until Ctrl-C, and tell the exit status."""
    return watching.watch(
        _Board(names), target=target, timeout_seconds=timeout_seconds, as_json=as_json
    )


class _Board:
    """Hold the vendors that are on show."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._vendors: Providers

    async def begin(self, client: Client) -> None:
        """Take the vendors as they are now."""
        self._vendors = (await client.providers()).only(self._names)

    def stream(self, client: Client) -> AsyncGenerator[ProviderChanges, None]:
        """Hear of changes."""
        return client.watch_providers(self._names)

    async def renew(self, client: Client) -> None:
        """Ask for nothing: everything is told unasked."""

    def hear(self, changes: ProviderChanges) -> Iterable[str]:
        """Apply what has changed, and return a line for each event."""
        self._vendors = self._vendors.updated(changes)
        return map(provider_table.event_line, changes.events)

    def drawn(self, around: Frame) -> RenderableType:
        """Draw all of it."""
        return provider_table.drawn(self._vendors, around)
