"""Measure, show, write; say whether everything is as promised."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import (
    chaos,
    failover,
    fetch_cold,
    fetch_hot,
    landing,
    quota_use,
    reserve,
    results,
    start_and_memory,
    stream_fan_out,
    stream_latency,
    stream_memory,
    waiters,
)

BENCHMARKS: Final[dict[str, Callable[[], results.Results]]] = {
    "start_and_memory": start_and_memory.measured,
    "reserve": reserve.measured,
    "waiters": waiters.measured,
    "quota_use": quota_use.measured,
    "landing": landing.measured,
    "fetch_hot": fetch_hot.measured,
    "fetch_cold": fetch_cold.measured,
    "stream_fan_out": stream_fan_out.measured,
    "stream_latency": stream_latency.measured,
    "stream_memory": stream_memory.measured,
    "failover": failover.measured,
    "chaos": chaos.measured,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument("--results", type=Path, default=results.FILE, metavar="FILE")
    parser.add_argument("--page", type=Path, default=results.PAGE, metavar="FILE")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    found: dict[str, results.Result] = {}
    # One after the other: they would disturb each other.
    for name in chosen.names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        found |= BENCHMARKS[name]()
        # gRPC's calls and channels refer to each other. Left to be found later, they
        # would be told of their ends by the next benchmark's loop, when theirs is
        # closed.
        gc.collect()
    print(results.table(found))
    everything = results.merge(found, chosen.results)
    results.rewrite(chosen.page, everything)
    return 0 if results.all_passed(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
