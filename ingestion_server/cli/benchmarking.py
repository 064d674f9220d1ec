"""What the command `benchmark` does: ask, and write how vendors compare."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from ingestion_server.cli import benchmark_table, failure
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import Frame
from ingestion_server.client import BenchmarkOptions, IngestionClientError, SyncClient


def run(
    symbols: Sequence[str],
    options: BenchmarkOptions,
    *,
    target: str,
    timeout_seconds: float,
    as_json: bool,
) -> Exit:
    """Ask the server, write the answer, and tell the exit status."""
    aside = Console(stderr=True)
    try:
        # It draws on terminals only.
        with aside.status("Asking the vendors …"), SyncClient(target) as client:
            found = client.benchmark(
                symbols, timeout_seconds=timeout_seconds, **options
            )
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)
    if as_json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        console = Console()
        console.print(benchmark_table.drawn(symbols, found, Frame(width=console.width)))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    answered = any(each.answered for each in found.providers)
    return Exit.OK if answered else Exit.FAILED
