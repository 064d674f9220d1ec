"""The Protocols that rooms plug into, and the plain data that flows through them."""
