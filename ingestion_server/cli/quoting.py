"""What the command `quote` does: ask once, and write the answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from ingestion_server.cli import failure, quote_table
from ingestion_server.cli.exits import Exit
from ingestion_server.client import (
    IngestionClientError,
    QuoteSnapshots,
    QuotesOptions,
    SyncClient,
)


def run(
    symbols: Sequence[str],
    options: QuotesOptions,
    *,
    target: str,
    timeout_seconds: float,
    as_json: bool,
) -> Exit:
    """Ask the server, write the answer, and tell the exit status."""
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            quotes = client.quotes(*symbols, **options)
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    if as_json:
        sys.stdout.write(quotes.to_json() + "\n")
    else:
        console = Console()
        console.print(quote_table.drawn(quotes))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return _exit_status(quotes)


def _exit_status(quotes: QuoteSnapshots) -> Exit:
    """Return success if any symbol was answered, else what the first failure means."""
    errors = [each.error for each in quotes if each.error is not None]
    if len(errors) < len(quotes):
        return Exit.OK
    return failure.exit_status(errors[0])
