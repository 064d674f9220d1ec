"""In which order those who can answer a query are asked, and what they gave."""

from __future__ import annotations

import logging
import random as chance
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple, final

import numpy as np

from ingestion_server.domain.interval import among
from ingestion_server.domain.query import SourceMode
from ingestion_server.ingest import pricing
from ingestion_server.ingest.candidates import Candidate, kind_of, names_unit
from ingestion_server.ingest.progress import Progress
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import LONGEST_QUOTA_WAIT_SECONDS
from ingestion_server.ports.routing import Score
from ingestion_server.registry.route import Entry, Placed, Random, ranked
from ingestion_server.registry.score import score
from ingestion_server.registry.selection import Listing
from ingestion_server.registry.standing import Standings

_log: Final = logging.getLogger(__name__)
_PLENTY: Final = 0.25
"""With less quota than this left, none of it is spent on probes."""
_TRUSTED: Final = 0.95
"""If fewer of its calls succeed, that a vendor has nothing is not taken as said."""
_BY_CALLER: Final = {
    SourceMode.ORDERED: "the caller's order",
    SourceMode.PINNED: "pinned by the caller",
    SourceMode.CONSENSUS: "compared: the first two are",
}


class Ranked(NamedTuple):
    """Be one vendor at its place, with what put it there."""

    candidate: Candidate
    score: Score
    price_usd: Decimal
    why: str
    probe: bool = False


@final
class Ranking:
    """Put vendors in order by the operator's wish, their price and how they do."""

    def __init__(
        self,
        listing: Listing,
        standings: Standings,
        clock: Clock,
        *,
        random: Random = chance.random,
    ) -> None:
        """
        Set up.

        Args:
            listing: which vendors there are; may be replaced at any time.
            standings: how they have done.
            clock: tells when plans that lack a feature are worth asking again.
            random: draws among equals; with the same seed, the same ones.

        """
        self.revision = 0
        """How often the listing was replaced."""
        self._listing = listing
        self._standings = standings
        self._clock = clock
        self._random = random

    @property
    def listing(self) -> Listing:
        """Return which vendors there are."""
        return self._listing

    @listing.setter
    def listing(self, listing: Listing) -> None:
        """Replace which vendors there are."""
        self._listing = listing
        self.revision += 1

    def ordered(self, able: Sequence[Candidate], progress: Progress) -> list[Candidate]:
        """Return the candidates, first choice first; their probes count as made."""
        if progress.query.policy.mode is not SourceMode.ANY or len(able) < 2:  # noqa: PLR2004 - nothing to order
            return list(able)
        placed = self._ranked(able, progress, self._random)
        kind = kind_of(progress.query.instrument)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "route: %s", "; ".join(f"{p.candidate.name}, {p.why}" for p in placed)
            )
        for each in placed:
            if each.probe:
                self._standings.probing(each.candidate.name, kind)
        return [each.candidate for each in placed]

    def expected(self, able: Sequence[Candidate], progress: Progress) -> list[Ranked]:
        """
        Return the candidates in the likeliest order, and why each stands there.

        Nothing is drawn and nothing is noted, so the next route is what it would have
        been.
        """
        return self._ranked(able, progress, None)

    def doubtful(self, candidate: Candidate, progress: Progress) -> bool:
        """Tell whether so many calls of a vendor fail that it may have had more."""
        kind = kind_of(progress.query.instrument)
        view = self._standings.view(candidate.name, kind)
        return view.judged and (view.success or 0.0) < _TRUSTED

    def learn(self, progress: Progress) -> None:
        """
        Note what the answers held, now that all is known that can be.

        That a vendor gave nothing counts only if another one had something: else
        there may have been nothing.
        """
        kind = kind_of(progress.query.instrument)
        due = progress.due()
        for given in progress.given:
            if not given.rows and not progress.collected.pieces:
                continue
            completeness = None
            if due is not None and len(wanted := due.within(list(given.gaps))):
                came = among(wanted.opens_ns, given.times_ns)
                completeness = float(np.count_nonzero(came)) / len(wanted)
            if given.rows:
                self._standings.served(given.provider, kind, progress.query.instrument)
            soundness = 1 - given.unsound / given.rows if given.rows else None
            self._standings.gave(
                given.provider, kind, completeness=completeness, soundness=soundness
            )
        progress.given.clear()

    def _ranked(
        self, able: Sequence[Candidate], progress: Progress, random: Random | None
    ) -> list[Ranked]:
        prices = pricing.prices_usd(able, progress, self._clock.monotonic())
        scores = {
            each.name: self._score(each, progress, prices[each.name]) for each in able
        }
        by_name = {each.name: each for each in able}

        def told(placed: Placed) -> Ranked:
            name = placed.name
            return Ranked(
                by_name[name], scores[name], prices[name], placed.why, placed.probe
            )

        by_caller = _BY_CALLER.get(progress.query.policy.mode)
        if by_caller is not None:
            return [told(Placed(each.name, by_caller)) for each in able]
        instrument = progress.query.instrument
        route: list[Ranked] = []
        # They come in this order, and no score makes up for a missing unit.
        for named, same in groupby(
            able, key=lambda each: names_unit(each.vendor, instrument)
        ):
            entries = [
                self._entry(each, progress, scores[each.name], prices[each.name])
                for each in same
            ]
            placed = [told(each) for each in ranked(entries, random=random)]
            if route and not named:
                note = "after those that name the unit of their prices"
                placed = [each._replace(why=f"{note}; {each.why}") for each in placed]
            route.extend(placed)
        return route

    def _score(self, candidate: Candidate, progress: Progress, price: Decimal) -> Score:
        vendor = candidate.vendor
        return score(
            self._standings.view(candidate.name, kind_of(progress.query.instrument)),
            headroom=vendor.quota.headroom(),
            feed_delay_seconds=vendor.provider.feed_delay_seconds,
            price_usd=price,
        )

    def _entry(
        self, candidate: Candidate, progress: Progress, score: Score, price: Decimal
    ) -> Entry:
        vendor, name = candidate.vendor, candidate.name
        kind = kind_of(progress.query.instrument)
        waits = vendor.quota.available_in() > LONGEST_QUOTA_WAIT_SECONDS
        return Entry(
            name=name,
            tier=self.listing.priority(name),
            hard=self.listing.hard(name),
            score=score,
            price_usd=price,
            able=vendor.breaker(kind).admits and not waits,
            asked_seconds_ago=self._standings.asked_seconds_ago(name, kind),
            quota_plentiful=vendor.quota.headroom() >= _PLENTY,
        )
