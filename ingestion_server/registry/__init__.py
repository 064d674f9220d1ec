"""Whom to ask: what each vendor can do, in which order, and why not the others."""
