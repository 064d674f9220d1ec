"""IEX Cloud's complaints: a status and one sentence, which is no JSON."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.wire import HTML, Reply

KIND: Final = "application/json; charset=utf-8"


class RefusedError(Exception):
    """The vendor answers with a complaint instead of data."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def sentence(status: int, text: str) -> Reply:
    """Return a complaint."""
    return Reply(text.encode(), status, HTML)


def unknown_symbol() -> Reply:
    """Return what a symbol gets that is none, as recorded."""
    return sentence(404, "Unknown symbol")


def no_key() -> Reply:
    """Return what a call without a key gets."""
    return sentence(401, "An API key is required to access the requested endpoint.")


def bad_key() -> Reply:
    """Return what a key gets that is none, and a range that is none, as recorded."""
    return sentence(403, "The API key provided is not valid.")


def wrong() -> Reply:
    """Return what a parameter gets that makes no sense, as recorded."""
    return sentence(400, "You have supplied invalid values for this request")


def over_budget() -> Reply:
    """Return what a call gets for which too few messages are left."""
    return sentence(
        402,
        "You have exceeded your allotted message quota and pay-as-you-go is not "
        "enabled.",
    )


def premium() -> Reply:
    """Return what a key gets that may not have this."""
    return sentence(451, "The requested data requires additional permission to access.")


def too_fast(retry_after: float | None = None) -> Reply:
    """Return what a call too soon gets; the header is only of faults."""
    headers = () if retry_after is None else (("Retry-After", f"{retry_after:g}"),)
    return Reply(b"Too many requests", 429, HTML, headers)


def of_fault(fault: Fault) -> Reply | None:
    """Return the body of a fault that looks different at other vendors."""
    match fault.name:
        case "status_429":
            return too_fast(fault.retry_after)
        case "empty":
            return Reply(b"[]", content_type=KIND)
        case "premium":
            return premium()
        case "error_key":
            return bad_key()
        case _:
            return None
