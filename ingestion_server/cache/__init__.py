"""What we already know: bar segments, single flight, encoded replies."""
