"""Alpha Vantage's complaints: all of them with HTTP 200, told apart by their text."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.wire import Reply, json_reply

_THANKS: Final = "Thank you for using Alpha Vantage!"
_MINUTE: Final = 60
_PREMIUM_PLANS: Final = "premium plans at https://www.alphavantage.co/premium/"

NOTE: Final = (
    f"{_THANKS} Our standard API call frequency is 5 calls per minute and 500 calls "
    "per day. Please visit https://www.alphavantage.co/premium/ if you would like to "
    "target a higher API call frequency."
)
"""Wording of 2022, recorded."""
DAILY: Final = (
    f"{_THANKS} Our standard API rate limit is 25 requests per day. Please subscribe "
    f"to any of the {_PREMIUM_PLANS} to instantly remove all daily rate limits."
)
BURST: Final = (
    f"{_THANKS} Please consider spreading out your free API requests more sparingly "
    f"(1 request per second). You may subscribe to any of the {_PREMIUM_PLANS} to "
    "lift the free key rate limit (25 requests per day), raise the per-second burst "
    "limit, and instantly unlock all premium endpoints"
)
"""Names the daily limit and premium endpoints too: a trap for careless readers."""
PREMIUM: Final = (
    f"{_THANKS} This is a premium endpoint. You may subscribe to any of the "
    f"{_PREMIUM_PLANS} to instantly unlock all premium endpoints"
)
BAD_KEY: Final = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 "
    "seconds."
)
"""Recorded."""


class RefusedError(Exception):
    """The vendor answers with a complaint instead of data."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def information(text: str) -> Reply:
    """Return a limit or an entitlement."""
    return json_reply({"Information": text})


def daily_with_key(key: str) -> str:
    """Return the daily limit in the wording that repeats the caller's key."""
    return (
        f"We have detected your API key as {key} and our standard API rate limit is "
        f"25 requests per day. Please subscribe to any of the {_PREMIUM_PLANS} to "
        "instantly remove all daily rate limits."
    )


def bad_ending(why: str) -> str:
    """Return what a key gets whose ending is nearly a plan; the sandbox's own."""
    return f"the parameter apikey is invalid or missing. Its ending: {why}."


def too_dense(calls: int, seconds: int) -> Reply:
    """Return the complaint of a paid plan."""
    stretch = "minute" if seconds == _MINUTE else f"{seconds} seconds"
    return information(
        f"{_THANKS} Please consider spreading out your API requests more sparingly "
        f"({calls} requests per {stretch}). You may subscribe to a higher plan of the "
        f"{_PREMIUM_PLANS} to raise the limit."
    )


def error_message(text: str) -> Reply:
    """Return an error."""
    return json_reply({"Error Message": text})


def invalid_call(function: str) -> RefusedError:
    """Return what both an unknown symbol and a bad parameter get."""
    return RefusedError(
        error_message(
            "Invalid API call. Please retry or visit the documentation "
            f"(https://www.alphavantage.co/documentation/) for {function}."
        )
    )


def of_fault(fault: Fault, function: str, key: str) -> Reply | None:
    """Return the body of a fault that only this vendor has."""
    bodies = {
        "empty": json_reply({}),
        "note": json_reply({"Note": NOTE}),
        "information_daily": information(DAILY),
        "information_key": information(daily_with_key(key)),
        "information_burst": information(BURST),
        "information_premium": information(PREMIUM),
        "error_message": invalid_call(function).reply,
        "error_key": error_message(BAD_KEY),
    }
    return bodies.get(fault.name)
