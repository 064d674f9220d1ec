"""What vendors have said before, and for how long that is as good as asking."""

from __future__ import annotations

import asyncio
import typing
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, final

import msgspec
import numpy as np

if typing.TYPE_CHECKING:
    from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import Delivery, Kept, Known, Life, SeriesKey, Terms
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import SymbolUnknownError
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.collected import Piece
from ingestion_server.ingest.coverage import coverage, settled_until_ns
from ingestion_server.ingest.scope import Scope
from ingestion_server.ports.caching import CacheCounts
from ingestion_server.ports.clock import Clock

ENCODED_SECONDS: Final = 1.0
"""How long an answer with bars that can change may be sent again as it is."""
_MOST_REFUSALS: Final = 10_000
"""Unknown symbols remembered; some 200 bytes each."""


class Recalled(msgspec.Struct, frozen=True, eq=False):
    """Hold what is known of one vendor's bars."""

    piece: Piece
    covered: Sequence[Span]
    """What need not be asked."""
    absent: Sequence[Span]
    """Parts of it where a bar was due and the vendor, asked lately, had none."""
    verified: bool
    """Whether the prices are adjusted as they would be today."""
    sample: Span | None
    """The last bars that are final: asking again shows whether they have changed."""
    anchor: Span | None
    """The first one, if it is none of them: it changes with any split or dividend."""


class _Refusal(NamedTuple):
    message: str
    at_seconds: float


@final
class Memory:
    """Remember what vendors gave, and which symbols they do not know."""

    def __init__(
        self, segments: Segments, clock: Clock, *, life: Life, counts: CacheCounts
    ) -> None:
        """
        Set up.

        Args:
            segments: keep the bars.
            clock: tells how old they are.
            life: how long what may change is as good as asking.
            counts: where it is counted what that saves.

        """
        self.segments = segments
        self.counts = counts
        self._clock = clock
        self._life = life
        self._refusals: OrderedDict[SeriesKey, _Refusal] = OrderedDict()

    async def ready(self, candidates: Sequence[Candidate], query: BarQuery) -> None:
        """Have at hand what is known of the vendors' bars."""
        # A disk that is slow shall cost its time once.
        await asyncio.gather(
            *(
                self.segments.ready(series_key(candidate.name, query))
                for candidate in candidates
            )
        )

    def recalled(
        self, provider: str, query: BarQuery, span: Span, now_ns: int
    ) -> Recalled | None:
        """Return what is known of a vendor's bars in a span; None if nothing is."""
        forming = max(self._life.forming_seconds - ENCODED_SECONDS, 0.0)
        most = query.policy.max_staleness_seconds
        if most is not None:
            forming = min(self._life.forming_seconds, most)
        known = self.segments.look(
            series_key(provider, query),
            span,
            now_ns=now_ns,
            life=Life(forming, self._life.absent_seconds),
            day=basis_day(query, now_ns),
        )
        return None if known is None else _recalled(provider, known)

    def stale(
        self, provider: str, query: BarQuery, span: Span, now_ns: int
    ) -> Recalled | None:
        """Return what is known beyond that, if the caller takes it in need."""
        most = query.policy.max_staleness_seconds
        if not most:
            return None
        known = self.segments.stale(
            series_key(provider, query),
            span,
            now_ns=now_ns,
            oldest_seconds=most,
            day=basis_day(query, now_ns),
        )
        return None if known is None else _recalled(provider, known, stale=True)

    def keep(
        self,
        query: BarQuery,
        scope: Scope,
        spans: Sequence[Span],
        piece: Piece,
        *,
        whole: bool,
    ) -> Kept:
        """
        Remember what a vendor gave when it was asked for spans.

        Without ``whole``, not everything came: then only the bars that came are known.
        """
        found = coverage(query, scope, spans, piece, whole=whole)
        received_ns = piece.received_at_ns
        return self.segments.keep(
            series_key(piece.provider, query),
            Delivery(
                found.spans,
                found.absent,
                settled_until_ns(query, scope, received_ns),
                piece.series,
                received_ns,
                Terms(
                    piece.currency,
                    piece.volume_unit,
                    piece.derivation,
                    piece.feed_delay_seconds,
                ),
                basis_day(query, received_ns),
                piece.first_trade_ns,
                tuple(piece.flags),
            ),
        )

    def refuse(self, provider: str, query: BarQuery, error: SymbolUnknownError) -> None:
        """Remember that a vendor does not know a symbol."""
        key = series_key(provider, query)
        self._refusals[key] = _Refusal(error.message, self._clock.monotonic())
        self._refusals.move_to_end(key)
        if len(self._refusals) > _MOST_REFUSALS:
            self._refusals.popitem(last=False)

    def refusal(self, provider: str, query: BarQuery) -> SymbolUnknownError | None:
        """Return what a vendor lately said that does not know the symbol, else None."""
        key = series_key(provider, query)
        said = self._refusals.get(key)
        if said is None:
            return None
        ago = self._clock.monotonic() - said.at_seconds
        if ago >= self._life.absent_seconds:
            del self._refusals[key]
            return None
        self.counts.negative_hits += 1
        return SymbolUnknownError(
            f"{said.message} (it said so {ago:.0f} s ago, and was not asked again)",
            provider=provider,
        )


def series_key(provider: str, query: BarQuery) -> SeriesKey:
    """Return the series of one vendor that a query asks for."""
    adjustable = query.instrument.asset_class.adjustable
    return SeriesKey(
        provider,
        query.instrument,
        query.interval,
        query.adjustment if adjustable else Adjustment.RAW,
        query.hours,
    )


def basis_day(query: BarQuery, now_ns: int) -> int | None:
    """
    Return the exchange's date, from which on a new split or dividend may count.

    In days since 1970; None if prices are as they were traded.
    """
    instrument = query.instrument
    adjustable = instrument.asset_class.adjustable
    if not adjustable or query.adjustment is Adjustment.RAW:
        return None
    zone = "UTC" if instrument.venue is None else instrument.venue.zone
    local = local_from_utc(np.array([now_ns], np.int64), zone)
    return int(local[0] // DAY_NS)


def _recalled(provider: str, known: Known, *, stale: bool = False) -> Recalled:
    terms = known.terms
    return Recalled(
        Piece(
            provider,
            known.series,
            known.received_at_ns,
            currency=terms.currency,
            volume_unit=terms.volume_unit,
            derivation=terms.derivation,
            feed_delay_seconds=terms.feed_delay_seconds,
            first_trade_ns=known.first_trade_ns,
            flags=known.flags,
            states=known.states,
            from_cache=True,
            stale=stale,
        ),
        known.covered,
        known.absent,
        known.verified,
        known.sample,
        known.anchor,
    )
