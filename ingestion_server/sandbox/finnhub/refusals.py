"""Finnhub's complaints: a status and one sentence."""

from __future__ import annotations

from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.wire import Reply, json_reply

KIND = "application/json; charset=utf-8"


class RefusedError(Exception):
    """The vendor answers with a complaint instead of data."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def error(status: int, text: str) -> Reply:
    """Return a complaint."""
    return json_reply({"error": text}, status=status, kind=KIND)


def no_key() -> Reply:
    """Return what a call without a key gets."""
    return error(401, "Please use an API key.")


def bad_key(why: str = "") -> Reply:
    """Return what a key gets that is none; the reason is the sandbox's own."""
    return error(
        401, f"Invalid API key. Its ending: {why}." if why else "Invalid API key"
    )


def premium() -> Reply:
    """Return what a key gets that may not have this."""
    return error(403, "You don't have access to this resource.")


def wrong(parameter: str) -> RefusedError:
    """Return what a parameter gets that is missing or makes no sense."""
    return RefusedError(error(422, f"Wrong {parameter} parameter"))


def over_limit(retry_after: float | None = None) -> Reply:
    """Return what a call too many gets; the header is only of faults."""
    headers = () if retry_after is None else (("Retry-After", f"{retry_after:g}"),)
    text = "API limit reached. Please try again later. Remaining Limit: 0"
    return Reply(error(429, text).body, 429, KIND, headers)


def of_fault(fault: Fault) -> Reply | None:
    """Return the body of a fault that looks different at other vendors."""
    match fault.name:
        case "status_429":
            return over_limit(fault.retry_after)
        case "empty":
            return json_reply({}, kind=KIND)
        case "premium":
            return premium()
        case "error_key":
            return bad_key()
        case _:
            return None
