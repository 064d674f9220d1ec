"""
Simulated vendors that speak the vendors' real wire formats, with faults on demand.

One deterministic market (seeded, calendar aware, with splits and dividends) is told
in the words of Alpha Vantage, of Yahoo, of Finnhub and of IEX Cloud on one port,
metered as strictly as the vendors do. The room is written from the vendors' documents
and recordings; it knows nothing of ``providers/``, and time and sessions are handed
in::

    async with sandbox.running(sessions=calendars, now_ns=time.time_ns) as running:
        print(running.url)
"""

from __future__ import annotations

from ingestion_server.sandbox.options import (
    PLAN_WORDS,
    PLANS,
    SandboxOptions,
    plan_window,
)
from ingestion_server.sandbox.schedule import SessionSource
from ingestion_server.sandbox.server import Running, running

__all__ = [
    "PLANS",
    "PLAN_WORDS",
    "Running",
    "SandboxOptions",
    "SessionSource",
    "plan_window",
    "running",
]
