"""Who may serve live data, and why nobody does."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.ingest.live.routing import unable
from tests.clocks import ManualClock
from tests.ingest.live.ticks import TEN
from tests.ingest.live.vendor import Vendor

ACME = "acme"


@pytest.mark.parametrize("names", [(), ("nobody",)])
def test_why_nobody_streams_is_told(names: tuple[str, ...]) -> None:
    assert isinstance(unable(names, {}), CapabilityMissingError)


def test_who_is_switched_off_says_so() -> None:
    off = CapabilityMissingError("is switched off", provider=ACME)
    vendor = Vendor(ManualClock(TEN), off=off)

    assert unable([ACME], {ACME: vendor.upstream()}) is off
