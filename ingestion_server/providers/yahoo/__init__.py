"""What Yahoo Finance offers, and how its requests and replies read."""
