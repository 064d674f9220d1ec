"""
Follow live trades, and say what is not perfect about them.

Start a server first, for example with `make run`. Then:

    .venv/bin/python examples/stream_trades.py AAPL TSLA
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from ingestion_server.client import (
    Client,
    IngestionClientError,
    ServerUnreachableError,
    StreamEvent,
    Trade,
)


async def follow(symbols: list[str], target: str) -> None:
    """Print trades until Ctrl-C; the stream outlasts restarts of the server."""
    async with Client(target) as client, client.stream(*symbols) as stream:
        async for item in stream:
            if isinstance(item, Trade):
                print(item.time.isoformat(), item.symbol, item.price, item.size)
            elif isinstance(item, StreamEvent):
                print(f"{item.symbol}: {item.kind}", item.cause or item.detail)


def main() -> int:
    """Follow, and tell the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("symbols", nargs="*", default=["AAPL", "TSLA"])
    parser.add_argument("--target", default="127.0.0.1:50051")
    asked = parser.parse_args()
    try:
        asyncio.run(follow(asked.symbols, asked.target))
    except KeyboardInterrupt:
        return 0
    except ServerUnreachableError:
        sys.stderr.write(f"No server answers at {asked.target}: run `make run`.\n")
        return 4
    except IngestionClientError as error:
        sys.stderr.write(f"{error.reason or 'error'}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
