"""Whom to ask, and the explanation of each choice."""
