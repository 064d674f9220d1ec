"""
IEX Cloud as it was until 2024.

The paths below ``/stable/stock``, their weights in messages and the vendor's words.
"""
