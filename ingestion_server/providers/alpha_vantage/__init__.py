"""What Alpha Vantage offers, and how its requests and replies read."""
