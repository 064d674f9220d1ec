"""What the command `quota` does: ask once, or watch."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Final

from rich.console import Console, RenderableType

from ingestion_server.cli import failure, quota_table, watching
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import Frame
from ingestion_server.client import (
    Client,
    IngestionClientError,
    QuotaChanges,
    QuotaForecast,
    Quotas,
    SyncClient,
)


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
        console.print(quota_table.drawn(quotas, forecast, Frame(width=console.width)))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK


def watch(
    providers: Sequence[str], *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Write what changes until Ctrl-C, and tell the exit status."""
    return watching.watch(
        _Board(providers),
        target=target,
        timeout_seconds=timeout_seconds,
        as_json=as_json,
    )


class _Board:
    """Hold the quotas that are on show, and their forecast."""

    def __init__(self, providers: Sequence[str]) -> None:
        self._providers: Final = providers
        self._quotas: Quotas
        self._forecast: QuotaForecast | None = None

    async def begin(self, client: Client) -> None:
        """Take the windows as they are now."""
        self._quotas = await client.quotas(self._providers)

    def stream(self, client: Client) -> AsyncGenerator[QuotaChanges, None]:
        """Hear of changes."""
        return client.watch_quotas(self._providers)

    async def renew(self, client: Client) -> None:
        """Forecast anew: rates fall while nothing happens, and nobody tells."""
        self._forecast = await client.forecast_quota(providers=self._providers)

    def hear(self, changes: QuotaChanges) -> Iterable[str]:
        """Apply what has changed, and return a line for each alert."""
        self._quotas = self._quotas.updated(changes)
        return map(quota_table.alert_line, changes.alerts)

    def drawn(self, around: Frame) -> RenderableType:
        """Draw all of it; there is nothing to draw before the first forecast."""
        if self._forecast is None:
            return around.note
        return quota_table.drawn(self._quotas, self._forecast, around)
