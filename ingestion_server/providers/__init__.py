"""One folder per vendor, sans-IO; vendors never know each other."""
