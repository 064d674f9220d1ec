"""What the command `explain` does: ask, and write the answer."""

from __future__ import annotations

import sys

from rich.console import Console

from ingestion_server.cli import failure, route_table
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import Frame
from ingestion_server.client import IngestionClientError, Query, SyncClient


def run(
    symbol: str, query: Query, *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Ask the server, write the answer, and tell the exit status."""
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            route = client.explain_route(symbol, **query)
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    if as_json:
        sys.stdout.write(route.to_json() + "\n")
    else:
        console = Console()
        console.print(route_table.drawn(symbol, route, Frame(width=console.width)))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK
