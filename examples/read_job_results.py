"""
Have histories brought by a job, and read them as they land, each at least once.

Start a server first, for example with `make run`. Then:

    .venv/bin/python examples/read_job_results.py AAPL TSLA --start 2020-01-02

Stop it, or the server, at any moment: started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys

from ingestion_server.client import (
    IngestionClientError,
    ServerUnreachableError,
    SyncClient,
)


def read(client: SyncClient, symbols: list[str], start: str) -> bool:
    """Print what lands until the job has ended; tell whether all is there."""
    # The same key is the same job, however often this is run.
    key = f"example {' '.join(symbols)} {start}"
    job = client.jobs.create(symbols, start, client_key=key).job
    print(f"job {job.job_id}: {job.state}")
    with client.jobs.results(job.job_id, consumer="example", follow=True) as results:
        for result in results:
            # Here it would be written somewhere: asking for more acknowledges it.
            print(result.cursor, result.bars)
    missing = list(client.jobs.units(job.job_id))
    for unit in missing:
        for gap in unit.lacking():
            print(f"missing {unit.symbol} [{gap.start}, {gap.end}): {gap.reason}")
    return not missing


def main() -> int:
    """Read, and tell the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("symbols", nargs="*", default=["AAPL", "TSLA"])
    parser.add_argument("--start", default="2020-01-02")
    parser.add_argument("--target", default="127.0.0.1:50051")
    asked = parser.parse_args()
    try:
        with SyncClient(asked.target) as client:
            return 0 if read(client, asked.symbols, asked.start) else 1
    except KeyboardInterrupt:
        return 0
    except ServerUnreachableError:
        sys.stderr.write(f"No server answers at {asked.target}: run `make run`.\n")
        return 4
    except IngestionClientError as error:
        sys.stderr.write(f"{error.reason or 'error'}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
