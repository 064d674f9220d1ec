"""Every published reason has its class, and a failure survives a trip."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import grpc
import pytest
from marketdata.ingestion.v1 import error_reason_pb2

from ingestion_server.client import errors

REASONS = [
    name.removeprefix("ERROR_REASON_")
    for name in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 - it is no mapping
    if name != "ERROR_REASON_UNSPECIFIED"
]


@pytest.mark.parametrize("reason", REASONS)
def test_every_published_reason_has_a_class_of_its_name(reason: str) -> None:
    words = "".join(word.title() for word in reason.split("_"))

    assert errors.BY_REASON[reason].__name__ == f"{words}Error"


def test_no_class_stands_for_a_reason_that_is_not_published() -> None:
    assert sorted(errors.BY_REASON) == sorted(REASONS)


def test_the_module_docstring_draws_every_class() -> None:
    classes = [
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, Exception)
    ]

    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("travel", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_a_failure_keeps_its_facts_when_it_is_copied_or_pickled(travel) -> None:
    details = errors.FailureDetails(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason="QUOTA_EXHAUSTED",
        metadata={"provider": "yahoo"},
        retry_delay=timedelta(seconds=1.5),
        violations=(errors.FieldViolation("start", "after end"),),
    )

    arrived = travel(errors.QuotaExhaustedError("no quota", details))

    assert type(arrived) is errors.QuotaExhaustedError
    assert (str(arrived), arrived.details) == ("no quota", details)


def test_a_traceback_shows_wrong_fields_and_when_to_come_back() -> None:
    details = errors.FailureDetails(
        retry_delay=timedelta(seconds=1.5),
        violations=(errors.FieldViolation("start", "after end"),),
    )

    error = errors.IngestionClientError("no", details)

    assert error.__notes__ == ["start: after end", "Retry in 1.5 s."]


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({}, ()),
        ({"suggestions": ""}, ()),
        ({"suggestions": "AAPL,AMAT"}, ("AAPL", "AMAT")),
    ],
)
def test_what_may_have_been_meant_by_an_unknown_symbol_is_read_off_its_error(
    told: dict[str, str], read: tuple[str, ...]
) -> None:
    details = errors.FailureDetails(reason="SYMBOL_UNKNOWN", metadata=told)

    assert errors.SymbolUnknownError("who?", details).suggestions == read
