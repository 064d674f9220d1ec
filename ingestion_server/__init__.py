"""One gRPC contract in front of many market-data vendors, with the truth about it."""
