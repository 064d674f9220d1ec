"""IEX Cloud, closed in 2024: declarations, and pure build and parse functions."""

from ingestion_server.providers.iex_cloud.vendor import IexCloud

__all__ = ["IexCloud"]
