"""The HTTP door: health for probes, metrics and pages for operators."""

from __future__ import annotations

from ingestion_server.web.door import serving
from ingestion_server.web.health import Stage

__all__ = ["Stage", "serving"]
