"""How far an answer has come: what was gathered, what was tried, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
)
from ingestion_server.domain.grid import Grid, missing_spans
from ingestion_server.domain.interval import Times, among, labels
from ingestion_server.domain.quality import FlagKind
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.result import Attempt, Missing, Outcome
from ingestion_server.domain.spans import joined, subtracted
from ingestion_server.ingest import mixing
from ingestion_server.ingest.asked import Asked
from ingestion_server.ingest.collected import Collected, Piece
from ingestion_server.ingest.scope import Scope
from ingestion_server.ports.policy import CallTally

_MOST_GAPS: Final = 4
"""More holes than this are asked for in fewer, longer stretches, to spare calls."""
_MOST_MISSING: Final = 500
"""More holes than this end in one last stretch: an answer must fit its message."""
_END_OF_TIME_NS: Final = 2**63 - 1


class Given(msgspec.Struct, frozen=True, eq=False):
    """Hold what one vendor was asked for and gave, until it can be judged."""

    provider: str
    gaps: Sequence[Span]
    piece: Piece | None

    @property
    def times_ns(self) -> Times:
        """Return the opens of the bars that came."""
        if self.piece is None:
            return np.empty(0, np.int64)
        return self.piece.series.open_time_ns

    @property
    def unsound(self) -> int:
        """Return how many rows were left out because they cannot be true."""
        flags = () if self.piece is None else self.piece.flags
        return sum(flag.kind is FlagKind.ROW_QUARANTINED for flag in flags)

    @property
    def rows(self) -> int:
        """Return how many rows came, those left out included."""
        return len(self.times_ns) + self.unsound


@dataclass(slots=True)
class Progress:
    """Keep what was gathered and tried so far."""

    query: BarQuery
    scope: Scope
    collected: Collected = field(default_factory=Collected)
    attempts: list[Attempt] = field(default_factory=list)
    errors: list[ProviderError] = field(default_factory=list)
    tallies: list[CallTally] = field(default_factory=list)
    """What was spent on each vendor that was asked; the last may still be growing."""
    given: list[Given] = field(default_factory=list)
    """What answers held that are not judged yet."""
    pending: dict[str, CallTally] = field(default_factory=dict)
    """The vendors that are being asked, and what was spent on each so far."""
    recalled: list[Span] = field(default_factory=list)
    """What need not be asked, since it is known from before."""
    consulted: set[str] = field(default_factory=set)
    """The vendors whose bars from before were looked at."""
    answered: bool = False
    """Whether a vendor has answered by now."""
    _unknown_spans: list[Span] | None = None
    """What was found last; None = to be found anew, since something was added."""
    notes: list[str] = field(default_factory=list)
    """What vendors have said before, and are not asked again."""

    def due(self) -> Grid | None:
        """
        Return the bars that should be there.

        None before the first trade, and none on the far side of the limit.
        """
        due, first = self.scope.due, self.collected.first_trade_ns
        if due is None or not len(due):
            return due
        if first is None and not self.scope.limited:
            return due
        from_ns, until_ns = self._limits()
        if first is not None:
            label = first if self.query.interval.intraday else self._label(first)
            from_ns = max(from_ns, label)
        if from_ns <= due.opens_ns[0] and due.opens_ns[-1] <= until_ns:
            return due
        inside = (due.opens_ns >= from_ns) & (due.opens_ns <= until_ns)
        return Grid(due.opens_ns[inside], due.closes_ns[inside])

    def _label(self, time_ns: int) -> int:
        return int(labels(np.array([time_ns], np.int64), self.query.interval)[0])

    def _limits(self) -> tuple[int, int]:
        """Return the first and the last open that the answer can reach to by now."""
        times, scope = self.collected.times_ns(), self.scope
        if scope.last and len(times) >= scope.last:
            return int(np.partition(times, -scope.last)[-scope.last]), _END_OF_TIME_NS
        if scope.first and len(times) >= scope.first:
            last = int(np.partition(times, scope.first - 1)[scope.first - 1])
            return -_END_OF_TIME_NS, last
        return -_END_OF_TIME_NS, _END_OF_TIME_NS

    def holes(self) -> list[Span]:
        """Return the stretches whose bars should be there and are not."""
        due = self.due()
        if due is None:
            return []
        return missing_spans(due, self.collected.times_ns(), self.query.interval)

    def lacking(self) -> str:
        """Return how many bars are missing, of how many; empty if none is."""
        due, holes = self.due(), self.holes()
        if due is None or not holes:
            return ""
        return f"{len(due.within(holes))} of {len(due)}"

    def gaps(self) -> list[Span]:
        """Return what the next vendor is to be asked for."""
        if self.recalled and not self.answered:
            return _coalesced(self._unknown())
        if not self.collected.pieces:
            return [] if self._never_traded() else [self.whole()]
        return _coalesced(self.holes())

    def lost(self) -> list[Span]:
        """
        Return what is missing in the end.

        That nobody has the bar of this moment is no fault of an answer; but if nobody
        could be asked, it is missing.
        """
        if self.recalled and not self.answered:
            return self._lost()
        return self.holes()

    def recall(self, piece: Piece, covered: Sequence[Span]) -> None:
        """Take what is known from before, if it may stand beside what is there."""
        query, collected = self.query, self.collected
        if mixing.unmixable(query, collected, piece.provider):
            return
        if mixing.unlike(query, collected, piece):
            return
        collected.add(mixing.fitted(collected, piece))
        self.recalled = joined([*self.recalled, *covered])
        self._unknown_spans = None

    def forget(self, provider: str) -> None:
        """Give up what was taken as known of a vendor."""
        self.collected.forget(provider)
        self._unknown_spans = None
        self.recalled = []
        for piece in self.collected.pieces:
            times = piece.series.open_time_ns
            self.recalled.append(Span(int(times[0]), int(times[-1]) + 1))

    def _unknown(self) -> list[Span]:
        """Return what is neither there nor known not to be there."""
        if self._unknown_spans is None:
            self._unknown_spans = self._found_unknown()
        return self._unknown_spans

    def _found_unknown(self) -> list[Span]:
        wanted = self.scope.wanted
        stretches = subtracted([self.whole()], self.recalled)
        if wanted is not None and not self.scope.beyond:
            # As long as can be, since there may be more than should be.
            lacking = wanted.opens_ns[
                ~among(wanted.opens_ns, self.collected.times_ns())
            ]
            stretches = [
                each
                for each in stretches
                if np.diff(np.searchsorted(lacking, (each.start_ns, each.end_ns)))[0]
            ]
        # What was due and did not come, another vendor may have.
        return joined([*stretches, *self.holes()])

    def _lost(self) -> list[Span]:
        """Return where bars should be that are not there, also such as are forming."""
        wanted, due, times = self.scope.wanted, self.due(), self.collected.times_ns()
        if wanted is None or due is None or self.scope.beyond:
            return self._unknown()
        known = wanted.within(self.recalled).opens_ns
        known = known[~among(known, due.opens_ns)]
        return missing_spans(
            wanted, np.concatenate((times, known)), self.query.interval
        )

    def whole(self) -> Span:
        """Return the scope from its first bar on: before that, nothing can be had."""
        span, wanted = self.scope.span, self.scope.wanted
        regular = self.query.hours is TradingHours.REGULAR
        if wanted is None or not len(wanted) or not regular:
            return span
        return Span(max(span.start_ns, int(wanted.opens_ns[0])), span.end_ns)

    def _never_traded(self) -> bool:
        """Tell whether bars would be due, were it not for the first trade."""
        all_due, due = self.scope.due, self.due()
        return all_due is not None and due is not None and len(all_due) > len(due) == 0

    def may_begin_later(self) -> bool:
        """Tell whether the first bars are wanted, and history begins after them."""
        silent = all(
            isinstance(error, NoDataUnexplainedError | CapabilityMissingError)
            for error in self.errors
        )
        return bool(
            self.scope.first
            and not self.collected.pieces
            and not self.query.interval.intraday
            and silent
        )

    def anew(self, scope: Scope) -> Progress:
        """Return the same attempts with another scope, and nothing gathered."""
        return Progress(self.query, scope, attempts=self.attempts, tallies=self.tallies)

    def begun(self, provider: str) -> CallTally:
        """Note a vendor that is being asked, and return where its calls count."""
        self.tallies.append(CallTally())
        self.pending[provider] = self.tallies[-1]
        return self.tallies[-1]

    def note(self, asked: Asked) -> IngestionError | None:
        """Take what a vendor brought, note how it went, and return its error."""
        name, error = asked.provider, asked.error
        self._unknown_spans = None
        tally = self.pending.pop(name)
        if not asked.shared:
            self._heard(asked)
        if asked.error is None:
            # What it said before, when it failed, is no longer so.
            self.errors = [each for each in self.errors if each.provider != name]
        new = 0
        self.collected.renewed(name, asked.given_anew)
        for brought in asked.pieces([self.scope.span] if asked.changed else asked.gaps):
            piece = mixing.fitted(self.collected, brought)
            unlike = mixing.unlike(self.query, self.collected, piece)
            if unlike:
                error = CapabilityMissingError(unlike, provider=name)
            else:
                new += self.collected.add(piece)
        if error is None:
            self.answered = True
            if not new:
                error = NoDataUnexplainedError(
                    f"{name} gave no bars and did not say why", provider=name
                )
        if isinstance(error, ProviderError):
            self.errors.append(error)
        self.attempts.append(
            Attempt(
                name,
                asked.outcome(new, error),
                reason_of(error) if error else self._partial(),
                latency_seconds=asked.latency_seconds,
                cost_usd=tally.cost_usd,
                calls=tally.calls,
                hedge=asked.hedge,
                shared=asked.shared or bool(tally.shared_calls),
                shared_calls=tally.shared_calls,
                retry_after_seconds=error.retry_after_seconds if error else None,
            )
        )
        return error

    def _heard(self, asked: Asked) -> None:
        """Note what answers held; a call that failed held nothing to judge by."""
        for each in asked.landings:
            nothing = isinstance(each.error, NoDataUnexplainedError | None)
            if each.live is not None or nothing:
                self.given.append(Given(asked.provider, each.spans, each.live))

    def _partial(self) -> str:
        lacking = self.lacking()
        return f"PARTIAL: {lacking} bars are still missing" if lacking else ""

    def given_up(
        self, name: str, outcome: Outcome, reason: str, latency_seconds: float = 0.0
    ) -> None:
        """Note that a vendor that is being asked will not be waited for."""
        tally = self.pending.pop(name)
        self.attempts.append(
            Attempt(
                name,
                outcome,
                reason,
                latency_seconds=latency_seconds,
                cost_usd=tally.cost_usd,
                calls=tally.calls,
                shared=bool(tally.shared_calls),
                shared_calls=tally.shared_calls,
            )
        )

    def skipped(self, error: ProviderError) -> None:
        """Note a vendor that was not asked."""
        self.errors.append(error)
        self.attempts.append(
            Attempt(
                error.provider,
                Outcome.SKIPPED,
                reason_of(error),
                retry_after_seconds=error.retry_after_seconds,
            )
        )

    def missing(self) -> list[Missing]:
        """Return what is missing, and what each vendor said about it."""
        lost = self.lost()
        if not lost:
            return []
        said = [
            f"{attempt.provider}: {attempt.reason or 'gave no such bar'}"
            for attempt in self.attempts
        ]
        reason = "; ".join([*said, *self.notes])
        missing = [Missing(h.start_ns, h.end_ns, reason) for h in lost]
        if len(missing) <= _MOST_MISSING:
            return missing
        kept, rest = missing[: _MOST_MISSING - 1], missing[_MOST_MISSING - 1 :]
        why = f"{len(rest)} stretches with bars between them: {reason}"
        return [*kept, Missing(rest[0].start_ns, rest[-1].end_ns, why)]

    def summary(self) -> str:
        """Return what was tried, in one line."""
        tried = [f"{a.provider} {a.outcome.upper()}" for a in self.attempts]
        tried.extend(f"{name} pending" for name in self.pending)
        return ", ".join(tried)


def reason_of(error: IngestionError) -> str:
    """Return an error as the reason of an attempt."""
    return f"{error.reason}: {error.message}"


def _coalesced(gaps: list[Span]) -> list[Span]:
    """Join the nearest neighbours until there are few enough."""
    gaps = list(gaps)
    while len(gaps) > _MOST_GAPS:
        distances = [right.start_ns - left.end_ns for left, right in pairwise(gaps)]
        if len(gaps) > 10 * _MOST_GAPS:
            return [Span(gaps[0].start_ns, gaps[-1].end_ns)]
        nearest = distances.index(min(distances))
        joined = Span(gaps[nearest].start_ns, gaps[nearest + 1].end_ns)
        gaps[nearest : nearest + 2] = [joined]
    return gaps
