"""Whom to ask for quotes, in which order, and who cannot tell them."""

from __future__ import annotations

import random as chance
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final, final

from msgspec.structs import replace

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    ProviderError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.ingest.candidates import Vendor, quotes_kind_of
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ports.policy import LONGEST_QUOTA_WAIT_SECONDS
from ingestion_server.ports.stream import Quoting
from ingestion_server.registry.route import Entry, Random, ranked
from ingestion_server.registry.score import score
from ingestion_server.registry.standing import Standings

_LAST_PLACE: Final = 1000
"""A hundredth of a quota that is used up counts as much as one place in the order."""
_PLENTY: Final = 0.25
"""With less quota than this left, none of it is spent on probes."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Hold a vendor that can tell quotes of some of the instruments."""

    vendor: Vendor
    quoting: Quoting
    instruments: Sequence[Instrument]
    day_only: bool
    """Whether it tells the day of a price, and no time."""
    price_usd: Decimal
    """What all its calls would cost, per instrument."""

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return self.vendor.provider.name

    def calls(self, instruments: int) -> int:
        """Return how many calls it takes for so many instruments."""
        return -(-instruments // self.quoting.most_symbols)

    def worse_than(self, other: Candidate, instruments: int) -> bool:
        """Tell whether it takes more calls, or tells less, than another does."""
        mine, others = self.calls(instruments), other.calls(instruments)
        return (self.day_only and not other.day_only) or mine > others


@final
class QuoteRoute:
    """
    Put vendors in order.

    Unless an operator or the caller has chosen an order, first come those that tell
    the time of a price, then those that charge less, then those that take fewer calls
    for so many instruments; only among equals do priorities, what is left of long
    windows, and scores count. So a hundred symbols go to a vendor that tells fifty at
    once, and one goes to who has no day's quota that could be spent.
    """

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        ranking: Ranking,
        standings: Standings,
        *,
        random: Random = chance.random,
    ) -> None:
        """
        Set up.

        Args:
            vendors: those that may be asked; may change at any time.
            ranking: knows the priorities.
            standings: how vendors have done.
            random: draws among equals.

        """
        self._vendors = vendors
        self._ranking = ranking
        self._standings = standings
        self._random = random

    def able(
        self, names: Sequence[str], kind: AssetClass, instruments: Sequence[Instrument]
    ) -> list[Candidate | ProviderError]:
        """Return each vendor with what it can be asked for, or why it cannot."""
        return [self._able(name, kind, instruments) for name in names]

    def chosen(self, candidates: Sequence[Candidate], policy: SourcePolicy) -> bool:
        """Tell whether somebody has chosen who is asked first."""
        hard = self._ranking.listing.hard
        return policy.mode is not SourceMode.ANY or any(
            hard(each.name) for each in candidates
        )

    def ordered(
        self, candidates: Sequence[Candidate], kind: AssetClass, policy: SourcePolicy
    ) -> list[Candidate]:
        """Return them, first choice first."""
        if policy.mode is not SourceMode.ANY or len(candidates) <= 1:
            return list(candidates)
        if self.chosen(candidates, policy):
            return self._ranked(candidates, kind)

        def worth(each: Candidate) -> tuple[bool, Decimal, float]:
            count = len(each.instruments)
            return each.day_only, each.price_usd, each.calls(count) / count

        found: list[Candidate] = []
        for _, equals in groupby(sorted(candidates, key=worth), key=worth):
            found.extend(self._ranked(list(equals), kind, sparing=True))
        return found

    def _able(
        self, name: str, kind: AssetClass, instruments: Sequence[Instrument]
    ) -> Candidate | ProviderError:
        vendor = self._vendors.get(name)
        if vendor is None:
            return CapabilityMissingError("is switched off", provider=name)
        if vendor.no_key:
            return CredentialsRefusedError(vendor.no_key, provider=name)
        quoting = vendor.provider.quoting
        if quoting is None or kind not in quoting.asset_classes:
            return CapabilityMissingError(f"tells no quotes of {kind}", provider=name)
        spelt = [i for i in instruments if vendor.provider.spelling(i) is not None]
        if not spelt:
            return CapabilityMissingError(
                f"has none of these symbols of {kind}", provider=name
            )
        price = Decimal(0)
        if vendor.quota.charges:
            feature = quoting.quote_request(spelt[:1]).feature
            calls = -(-len(spelt) // quoting.most_symbols)
            price = vendor.quota.price_usd(*[feature] * calls) / len(spelt)
        return Candidate(vendor, quoting, spelt, kind in quoting.day_only, price)

    def _ranked(
        self,
        candidates: Sequence[Candidate],
        kind: AssetClass,
        *,
        sparing: bool = False,
    ) -> list[Candidate]:
        by_name = {each.name: each for each in candidates}
        entries = [self._entry(each, quotes_kind_of(kind)) for each in candidates]
        if sparing:
            entries = [
                replace(each, tier=each.tier + _used_places(by_name[each.name]))
                for each in entries
            ]
        placed = ranked(entries, random=self._random)
        for each in placed:
            if each.probe:
                self._standings.probing(each.name, quotes_kind_of(kind))
        return [by_name[each.name] for each in placed]

    def _entry(self, candidate: Candidate, kind: str) -> Entry:
        vendor, name = candidate.vendor, candidate.name
        headroom = vendor.quota.headroom()
        waits = vendor.quota.available_in() > LONGEST_QUOTA_WAIT_SECONDS
        return Entry(
            name=name,
            tier=self._ranking.listing.priority(name),
            hard=self._ranking.listing.hard(name),
            score=score(
                self._standings.view(name, kind),
                headroom=headroom,
                feed_delay_seconds=vendor.provider.feed_delay_seconds,
                price_usd=candidate.price_usd,
            ),
            price_usd=candidate.price_usd,
            able=vendor.breaker(kind).admits and not waits,
            asked_seconds_ago=self._standings.asked_seconds_ago(name, kind),
            quota_plentiful=headroom >= _PLENTY,
        )


def _used_places(candidate: Candidate) -> int:
    """Return how many places a vendor goes back for what is used of its quota."""
    return round((1.0 - candidate.vendor.quota.headroom()) * _LAST_PLACE)
