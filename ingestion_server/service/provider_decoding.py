"""Requests about vendors, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from marketdata.ingestion.v1 import provider_service_pb2

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.service.vendor_decoding import Vendors, refuse

_LEAST_PRIORITY: Final = 0
_MOST_PRIORITY: Final = 1_000


class Change(NamedTuple):
    """Say what is to change about a vendor; None = nothing."""

    name: str
    enabled: bool | None
    priority: int | None


def name_of(request: provider_service_pb2.GetProviderRequest, vendors: Vendors) -> str:
    """
    Return the vendor that a request is about.

    Raises:
        InvalidQueryError: There is no such vendor.

    """
    wrong: list[Violation] = []
    vendors.check(request.name, "name", wrong)
    refuse(wrong)
    return request.name


def change_of(
    request: provider_service_pb2.UpdateProviderRequest, vendors: Vendors
) -> Change:
    """
    Return what a request wants to change.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    vendors.check(request.name, "name", wrong)
    enabled = request.enabled if request.HasField("enabled") else None
    priority = request.priority if request.HasField("priority") else None
    if enabled is None and priority is None:
        told = "changes nothing: neither enabled nor priority is set"
        wrong += (Violation("enabled", told), Violation("priority", told))
    if priority is not None and not _LEAST_PRIORITY <= priority <= _MOST_PRIORITY:
        told = f"{priority} is not from {_LEAST_PRIORITY} to {_MOST_PRIORITY}"
        wrong.append(Violation("priority", told))
    refuse(wrong)
    return Change(request.name, enabled, priority)


@contextmanager
def fields_within(field: str) -> Iterator[None]:
    """Name wrong fields as those of a message that stands in a field of another."""
    try:
        yield
    except InvalidQueryError as error:
        raise InvalidQueryError(
            [
                Violation(f"{field}.{one.field}", one.description)
                for one in error.violations
            ]
        ) from error
