"""What spends error budget is what callers could not have asked otherwise."""

from __future__ import annotations

import pytest

from ingestion_server.domain.service_level import Fault, fault_of


@pytest.mark.parametrize(
    ("code", "reason", "fault"),
    [
        ("OK", "", Fault.NOBODY),
        ("INVALID_ARGUMENT", "INVALID_QUERY", Fault.CALLER),
        ("NOT_FOUND", "SYMBOL_UNKNOWN", Fault.CALLER),
        ("CANCELLED", "", Fault.CALLER),
        ("RESOURCE_EXHAUSTED", "CALLER_THROTTLED", Fault.CALLER),
        ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED", Fault.SERVER),
        ("FAILED_PRECONDITION", "COST_LIMIT_EXCEEDED", Fault.CALLER),
        ("FAILED_PRECONDITION", "CREDENTIALS_REFUSED", Fault.SERVER),
        ("UNAVAILABLE", "ALL_PROVIDERS_FAILED", Fault.SERVER),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", Fault.SERVER),
        ("INTERNAL", "INTERNAL", Fault.SERVER),
    ],
)
def test_the_end_of_a_call_has_one_to_blame(
    code: str, reason: str, fault: Fault
) -> None:
    assert fault_of(code, reason) is fault
