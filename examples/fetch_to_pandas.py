"""
Fetch bars into pandas, and print who served them and what is missing.

Start a server first, for example with `make run`. Then:

    .venv/bin/python examples/fetch_to_pandas.py AAPL --start 2024-01-02
"""

from __future__ import annotations

import argparse
import sys

from ingestion_server.client import (
    IngestionClientError,
    ServerUnreachableError,
    SyncClient,
)


def main() -> int:
    """Fetch, print, and tell the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("symbol", nargs="?", default="AAPL")
    parser.add_argument("--interval", default="1d")
    parser.add_argument("--start", default=None, help="2024-01-02, inclusive")
    parser.add_argument("--end", default=None, help="2024-02-01, exclusive")
    parser.add_argument("--target", default="127.0.0.1:50051")
    asked = parser.parse_args()
    try:
        with SyncClient(asked.target) as client:
            bars = client.fetch(
                asked.symbol,
                interval=asked.interval,
                start=asked.start,
                end=asked.end,
            )
    except ServerUnreachableError:
        sys.stderr.write(f"No server answers at {asked.target}: run `make run`.\n")
        return 4
    except IngestionClientError as error:
        sys.stderr.write(f"{error.reason or 'error'}: {error}\n")
        return 1
    sys.stdout.write(f"{bars.to_pandas()}\n\n{bars.completeness}\n")
    for source in bars.sources:
        sys.stdout.write(f"{source.provider} [{source.start}, {source.end})\n")
    for hole in bars.missing:
        sys.stdout.write(f"missing [{hole.start}, {hole.end}): {hole.reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
