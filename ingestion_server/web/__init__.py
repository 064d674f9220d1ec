"""
The HTTP door: health for probes, metrics, and the console, a page for people.

It knows no gRPC: what the page asks goes through ``ports/rpc.py``.
"""

from __future__ import annotations

from ingestion_server.web.door import Console, serving
from ingestion_server.web.failures import RecentFailures
from ingestion_server.web.guard import Guard
from ingestion_server.web.health import Check, Report, Stage

__all__ = [
    "Check",
    "Console",
    "Guard",
    "RecentFailures",
    "Report",
    "Stage",
    "serving",
]
