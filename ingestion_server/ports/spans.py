"""What spans and events there are, what they mean, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """Say what a span or an event is, and which attributes it may have."""

    words: str
    attributes: tuple[str, ...] = ()


SPANS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "{package}.{service}/{method}": Meaning(
            "One RPC, from its coming to its last byte; the caller's span is its "
            "parent. Of StreamQuotes it is the session.",
            (
                "rpc.system.name",
                "rpc.method",
                "rpc.response.status_code",
                "error.type",
                "ingestion.request_id",
            ),
        ),
        "cache look-up": Meaning(
            "What is known already: of whole answers, then of bars.",
            ("ingestion.layer", "ingestion.outcome", "error.type"),
        ),
        "route": Meaning(
            "Vendors in their order, each asked for what is missing still.",
            (
                "ingestion.mode",
                "ingestion.symbol",
                "ingestion.interval",
                "ingestion.chosen",
                "ingestion.candidates",
                "ingestion.outcome",
                "error.type",
            ),
        ),
        "{http method} {provider}": Meaning(
            "One try at a vendor, by the conventions for HTTP clients.",
            (
                "http.request.method",
                "http.request.resend_count",
                "http.response.status_code",
                "url.full",
                "server.address",
                "server.port",
                "error.type",
                "ingestion.provider",
                "ingestion.endpoint",
                "ingestion.outcome",
            ),
        ),
        "quota wait": Meaning(
            "A call that waits for its turn at a vendor; there is none if it need not.",
            (
                "ingestion.provider",
                "ingestion.window",
                "ingestion.lane",
                "ingestion.outcome",
                "error.type",
            ),
        ),
        "shared call": Meaning(
            "Waiting for what another request is being brought; linked to that.",
            ("ingestion.leader_trace_id", "ingestion.outcome", "error.type"),
        ),
        "job unit": Meaning(
            "One try of a unit of a job, a trace of its own; linked to the call that "
            "had it done, if that was recorded.",
            (
                "ingestion.job_id",
                "ingestion.unit",
                "ingestion.symbol",
                "ingestion.outcome",
                "ingestion.reason",
                "error.type",
            ),
        ),
    }
)
"""Spans by their names."""

EVENTS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "failover": Meaning(
            "The next vendor is turned to, since one failed or is silent.",
            ("ingestion.provider", "ingestion.previous", "ingestion.reason"),
        ),
        "hedge": Meaning(
            "Another vendor is asked early, beside one that is slow.",
            ("ingestion.provider", "ingestion.previous", "ingestion.reason"),
        ),
        "retry": Meaning(
            "A vendor is tried again after a pause.",
            ("ingestion.provider", "ingestion.reason", "ingestion.pause_seconds"),
        ),
        "breaker": Meaning(
            "A breaker moved, or kept a call back.",
            ("ingestion.provider", "ingestion.position", "ingestion.reason"),
        ),
        **{
            f"stream {kind}": Meaning(
                words, ("ingestion.symbol", "ingestion.provider", "ingestion.reason")
            )
            for kind, words in (
                ("rejected", "A symbol cannot be had."),
                ("gap", "Something was missed."),
                ("backfilled", "What was missed has been told."),
                ("source_changed", "Another vendor serves a symbol from now on."),
                ("stale", "Nothing comes at the moment."),
                ("conflated", "The subscriber was too slow for some of it."),
            )
        },
    }
)
"""Events of the span of an RPC or of a unit, by their names."""

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "error.type": "The ErrorInfo reason of a failure, or the kind of a defect.",
        "http.request.method": "As it was sent.",
        "http.request.resend_count": "Which retry it is; absent of the first try.",
        "http.response.status_code": "Absent if there was no answer.",
        "ingestion.candidates": "What became of each vendor, and why.",
        "ingestion.chosen": "The vendors whose data are in the answer.",
        "ingestion.endpoint": "What of the vendor was asked; what quotas weigh.",
        "ingestion.interval": "Of the bars.",
        "ingestion.job_id": "Of the job.",
        "ingestion.lane": "interactive or batch.",
        "ingestion.layer": "answers, as they were sent, or bars.",
        "ingestion.leader_trace_id": "The trace that the call under way belongs to.",
        "ingestion.mode": "The mode of the source policy.",
        "ingestion.outcome": "Of a look-up hit, partial or miss; of a unit its state; "
        "CANCELLED of what was given up.",
        "ingestion.pause_seconds": "How long it is waited before that.",
        "ingestion.position": "Where the breaker stands: closed, open or half_open.",
        "ingestion.previous": "The vendors that were asked before.",
        "ingestion.provider": "The id of the vendor.",
        "ingestion.reason": "Why.",
        "ingestion.request_id": "As in log lines, and the caller's x-request-id.",
        "ingestion.symbol": "In our spelling.",
        "ingestion.unit": "The number of the unit in its job.",
        "ingestion.window": "The window of the quota that is the last to have room.",
        "rpc.method": "With its package and service.",
        "rpc.response.status_code": "The name of the gRPC status.",
        "rpc.system.name": "grpc.",
        "server.address": "The host of the vendor.",
        "server.port": "Its port.",
        "url.full": "Without key.",
    }
)
"""Attributes by their names."""
