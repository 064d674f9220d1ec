"""The gRPC door: decode, delegate, encode."""
