"""What a reader of results asks for, what it acknowledges, and when it comes back."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import grpc
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    job_service_pb2,
    provenance_pb2,
)

from ingestion_server.client.bars import Bars, add_rows, decoded
from ingestion_server.client.errors import (
    CallerThrottledError,
    IngestionClientError,
    ServerStoppingError,
    ServerUnreachableError,
)
from ingestion_server.client.job_values import JobUnit, unit_from

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_DOUBLED_AT_MOST: Final = 5
"""So often until the longest pause is reached."""
_ACKNOWLEDGED_SECONDS: Final = 1.0
_ACKNOWLEDGED_MESSAGES: Final = 64
"""So many are told again at most to one who breaks off without a word."""
_PASSING: Final = (ServerUnreachableError, ServerStoppingError, CallerThrottledError)
"""What passes when a server is started again."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """Hold some bars that have landed: those of one unit, or a part of them."""

    cursor: str
    """Its place, for every consumer, and for as long as there is the job."""
    unit: JobUnit
    """The unit; its state and what is missing are those of all its bars."""
    bars: Bars
    """At most 5,000 bars, and who served them."""
    more_of_unit: bool
    """Whether more bars of the same unit follow."""
    _answer: job_service_pb2.ReadResultsResponse = field(repr=False, compare=False)
    """The same on the wire, without its columns."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the ReadResultsResponse with its bars as rows, in protobuf's JSON."""
        answer = job_service_pb2.ReadResultsResponse()
        answer.CopyFrom(self._answer)
        add_rows(answer.series, self.bars.columns)
        return json_format.MessageToJson(answer, indent=indent, ensure_ascii=False)


class Reading:
    """Decide what a reader does next; it waits for nothing and asks nobody."""

    def __init__(  # noqa: PLR0913 - what callers say
        self,
        job_id: str,
        target: str,
        *,
        consumer: str,
        follow: bool,
        acknowledge: bool,
        after: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begin after a cursor; `jitter` returns numbers from 0 to 1."""
        self.job_id: Final = job_id
        self.target: Final = target
        self._consumer: Final = consumer
        self._follow: Final = follow
        self._acknowledge: Final = acknowledge
        self._jitter: Final = jitter
        self._told = after
        self._safe = ""
        """The last that the caller has done with."""
        self._asked = ""
        self._acknowledged = ""
        self._opened_at = 0.0
        self._messages = 0
        self._failures = 0
        self._begun = False

    def ask(self) -> None:
        """Take note that the caller is done with what it was told."""
        if self._begun:
            self._safe = self._told

    def open(self, now: float) -> job_service_pb2.ReadResultsRequest:
        """Return what to ask for over a new call: what follows, and what is safe."""
        self._opened_at, self._messages = now, 0
        self._asked = self._safe if self._acknowledge else ""
        return job_service_pb2.ReadResultsRequest(
            job_id=self.job_id,
            consumer=self._consumer,
            acknowledged_cursor=self._asked,
            after_cursor=self._told,
            follow=self._follow,
        )

    def due(self, now: float) -> bool:
        """
        Return whether to ask over a new call, which acknowledges what is safe.

        There is no other way to do so, and it costs a moment.
        """
        return (
            self._acknowledge
            and self._messages > 0
            and (
                self._messages >= _ACKNOWLEDGED_MESSAGES
                or now - self._opened_at >= _ACKNOWLEDGED_SECONDS
            )
        )

    def hear(self, response: job_service_pb2.ReadResultsResponse) -> JobResult:
        """Read a message, and note where to go on after it."""
        self._begun = True
        self._failures = 0
        self._messages += 1
        self._acknowledged = self._asked
        self._told = response.cursor
        return _result(response)

    def over(self) -> bool:
        """Return whether nothing is left to do, since the server has ended well."""
        self._acknowledged = self._asked
        return not self._acknowledge or self._acknowledged == self._safe

    def farewell(self) -> job_service_pb2.ReadResultsRequest | None:
        """Return what to ask for once only to acknowledge what is safe, if need be."""
        if not self._acknowledge or self._acknowledged == self._safe:
            return None
        return job_service_pb2.ReadResultsRequest(
            job_id=self.job_id,
            consumer=self._consumer,
            acknowledged_cursor=self._safe,
            after_cursor=self._told,
        )

    def lose(self, error: IngestionClientError) -> float:
        """Return in how many seconds to come back; raises the error if not at all."""
        if not isinstance(error, _PASSING) and error.code != grpc.StatusCode.CANCELLED:
            raise error
        longest = math.ldexp(
            _FIRST_PAUSE_SECONDS, min(self._failures, _DOUBLED_AT_MOST)
        )
        self._failures += 1
        pause = self._jitter() * min(longest, _LONGEST_PAUSE_SECONDS)
        told = error.retry_delay
        return pause if told is None else pause + told.total_seconds()


def _result(response: job_service_pb2.ReadResultsResponse) -> JobResult:
    unit = unit_from(response.unit)
    whole = unit.state == "LANDED"
    answer = ingestion_service_pb2.FetchResponse(
        series=response.series,
        completeness=(
            provenance_pb2.COMPLETENESS_COMPLETE
            if whole
            else provenance_pb2.COMPLETENESS_PARTIAL
        ),
        missing=response.unit.missing,
        sources=[
            provenance_pb2.Source(
                provider=each.provider,
                start=each.start,
                end=each.end,
                received_at=each.received_at,
                derived=each.derived,
            )
            for each in response.sources
        ],
    )
    response.series.ClearField("columns")
    return JobResult(
        cursor=response.cursor,
        unit=unit,
        bars=decoded([answer]),
        more_of_unit=response.more_of_unit,
        _answer=response,
    )
