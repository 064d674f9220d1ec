"""Lengths of time are told as people would."""

from __future__ import annotations

import pytest

from ingestion_server.domain.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-0.1, "0 s"),
        (0, "0 s"),
        (0.004, "0.01 s"),
        (0.25, "0.25 s"),
        (1.234, "1.24 s"),
        (45, "45 s"),
        (59.999, "59.9 s"),
        (60, "1 minute"),
        (61, "1 minute 1 second"),
        (150.2, "2 minutes 31 seconds"),
        (3_599.5, "1 hour"),
        (3_600, "1 hour"),
        (3_601, "1 hour 1 minute"),
        (7_200.000001, "2 hours"),
        (86_399, "1 day"),
        (86_400, "1 day"),
        (97_200, "1 day 3 hours"),
        (97_201, "1 day 4 hours"),
        (400 * 86_400 - 1, "400 days"),
    ],
)
def test_a_length_is_told_in_its_two_largest_units(seconds: float, told: str) -> None:
    assert in_words(seconds) == told
