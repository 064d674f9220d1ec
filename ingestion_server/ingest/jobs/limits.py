"""How jobs are bounded."""

from __future__ import annotations

import msgspec


class JobLimits(msgspec.Struct, frozen=True):
    """Bound what jobs do at once, and how often they try."""

    units_at_once: int = 8
    """Of one job; more where they may share a call."""
    most_units_at_once: int = 64
    """Of all jobs together."""
    attempts: int = 8
    """So often a unit is tried before it is given up; waits for quota do not count."""
    first_seconds: float = 1.0
    """About half of it is waited before the second try, twice as much each time."""
    longest_seconds: float = 300.0
    unit_seconds: float = 120.0
    """Within this a unit may wait for its turn at a vendor, and be answered."""
    most_jobs: int = 1_000
    """That have not ended."""
