"""Lengths of time as bytes."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from ingestion_server.service.moments import DURATION_BYTES, duration, encoded_duration


@pytest.mark.parametrize(
    "seconds",
    [
        *(0.0, 1e-9, 0.000_001, 0.25, 0.999_999_999, 1.0, 59.5, 127.0, 128.0),
        *(16_383.999, 86_400.5, 2_097_152.0, 268_435_456.5, 34_359_738_367.0),
    ],
)
def test_bytes_of_a_fixed_width_are_read_as_what_they_say(seconds: float) -> None:
    encoded = encoded_duration(seconds)

    assert len(encoded) == DURATION_BYTES
    assert Duration.FromString(encoded) == duration(seconds)


def test_nothing_is_younger_than_new() -> None:
    assert Duration.FromString(encoded_duration(-0.5)) == Duration()
