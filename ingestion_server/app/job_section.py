"""What can be set of jobs: the limits of ``ingest.jobs``, one setting each."""

from __future__ import annotations

from ingestion_server.app.sections import Section
from ingestion_server.app.words import Count, Seconds


class JobSettings(Section):
    """Have histories downloaded."""

    units_at_once: Count = 8
    """Units of one job under way at a time; more where they may share a call."""
    most_units_at_once: Count = 64
    """Units of all jobs together under way at a time."""
    attempts: Count = 8
    """How often a unit is tried; waiting for quota does not count."""
    first_seconds: Seconds = 1.0
    """The longest pause before the second try; doubled after each."""
    longest_seconds: Seconds = 300.0
    """What doubling leads to."""
    unit_seconds: Seconds = 120.0
    """How long a unit may wait for its turn at a vendor, and for the answer."""
    most_jobs: Count = 1_000
    """Jobs that have not ended; more are refused."""
