"""Yahoo's unofficial charts: declarations, and pure build and parse functions."""

from ingestion_server.providers.yahoo.provider import Yahoo

__all__ = ["Yahoo"]
