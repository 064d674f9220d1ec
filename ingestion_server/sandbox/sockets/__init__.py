"""
The streams of the simulated vendors: WebSockets, and how they misbehave.

What a vendor says and understands (``finnhub``, ``yahoo``) is plain text and trades;
only ``line`` and ``floor`` know sockets. Every stream tells the trades of the one
tape, from the moment of a subscription on, as the handed-in time passes. Faults are
about a real client's patience, so they take real time.
"""
