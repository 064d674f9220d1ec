"""
Finnhub's REST side as its swagger, its issues and recorded answers describe it.

Nothing here is shared with ``providers/``: the two must be able to disagree.
"""
