"""The gRPC door: decode, delegate, encode; failures become statuses in one table."""
