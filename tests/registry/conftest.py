"""Fixtures of the tests of `registry`."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("short", deadline=None, max_examples=100, database=None)
settings.load_profile("short")
