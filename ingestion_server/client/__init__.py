"""The typed Python client that users import."""
