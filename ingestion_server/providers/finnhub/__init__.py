"""Finnhub: declarations, and pure build and parse functions."""

from ingestion_server.providers.finnhub.vendor import Finnhub

__all__ = ["Finnhub"]
