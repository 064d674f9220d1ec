"""What Alpha Vantage offers, and how its requests and replies read."""

from ingestion_server.providers.alpha_vantage.vendor import AlphaVantage

__all__ = ["AlphaVantage"]
