"""Which vendors can serve a query, and how each would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    ProviderError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.scope import Scope
from ingestion_server.ingest.vendor import ActionsOf, Refusals
from ingestion_server.ports.http import Transport
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.provider import BarAsk, Provider
from ingestion_server.ports.quota import Quota
from ingestion_server.registry.recipe import Need, Recipe, Unable, recipe

BARS: Final = "bars:"
STREAM: Final = "stream"
"""The kind of data that a vendor's one connection is, whatever comes by it."""
"""Begins the kinds of data that are bars."""
SEARCH: Final = "search"
"""The kind of data that symbols are which are like another."""

BreakerOf = Callable[[str], BreakerState]
"""Tell where the breaker of a kind of data stands."""


def _closed(_kind: str) -> BreakerState:
    return BreakerState(BreakerPosition.CLOSED, 0)


class Vendor(msgspec.Struct, frozen=True):
    """Hold a vendor and how to call it."""

    provider: Provider
    exchange: Exchange
    actions_of: ActionsOf
    quota: Quota
    no_key: str = ""
    """What to do about the key that is needed and not there; empty if all is well."""
    refusals: Refusals = msgspec.field(default_factory=lambda: Refusals({}))
    breaker: BreakerOf = _closed


class Candidate(msgspec.Struct, frozen=True):
    """Hold a vendor that can serve a query, and how."""

    vendor: Vendor
    recipe: Recipe
    now_ns: int
    """Now; for a recording, when it was recorded."""

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return self.vendor.provider.name


def kind_of(instrument: Instrument) -> str:
    """Return the kind of data, which is judged and rests apart from others."""
    return f"{BARS}{instrument.asset_class}"


def trades_kind_of(instrument: Instrument) -> str:
    """Return the kind of data that past trades are."""
    return f"trades:{instrument.asset_class}"


def quotes_kind_of(asset_class: AssetClass) -> str:
    """Return the kind of data that latest quotes are."""
    return f"quotes:{asset_class}"


def kinds_served(provider: Provider) -> frozenset[str]:
    """Return the kinds of data that a vendor serves as it is."""
    kinds = {
        f"{BARS}{asset_class}"
        for capability in provider.capabilities
        for asset_class in capability.asset_classes
    }
    # Past trades are asked for only where the stream lost some.
    if provider.trade_history is not None and provider.streaming is not None:
        streamed = provider.streaming.declaration.asset_classes
        kinds.update(f"trades:{asset_class}" for asset_class in streamed)
    if provider.streaming is not None:
        kinds.add(STREAM)
    if provider.symbol_search is not None:
        kinds.add(SEARCH)
    if provider.quoting is not None:
        kinds.update(map(quotes_kind_of, provider.quoting.asset_classes))
    return frozenset(kinds)


def names_unit(vendor: Vendor, instrument: Instrument) -> bool:
    """Tell whether a vendor names the unit of an instrument's prices."""
    return vendor.provider.names_unit(instrument)


def unit_namers_first(
    names: Sequence[str], vendors: Mapping[str, Vendor], instrument: Instrument
) -> list[str]:
    """
    Return the vendors, those that name the unit of their prices before the others.

    A London price may be in pounds or in pence: a number without its unit is half
    an answer.
    """

    def silent(name: str) -> bool:
        vendor = vendors.get(name)
        return vendor is None or not names_unit(vendor, instrument)

    return sorted(names, key=silent)


def candidates(
    names: Sequence[str],
    vendors: Mapping[str, Vendor],
    query: BarQuery,
    scope: Scope,
    *,
    transport: Transport | None,
    now_ns: int,
) -> list[Candidate | ProviderError]:
    """
    Return, in order, each vendor with its recipe, or why it cannot serve.

    ``transport`` tells when recordings were made; None = all that it brings is of now.
    """
    span = scope.span
    # Without a calendar nobody can tell the first bars from later ones, so a vendor
    # that does not reach back to the start cannot give them.
    from_the_start = bool(scope.first and scope.wanted is None)
    found: list[Candidate | ProviderError] = []
    for name in names:
        vendor = vendors.get(name)
        if vendor is None:
            found.append(CapabilityMissingError("is switched off", provider=name))
            continue
        if vendor.no_key:
            found.append(CredentialsRefusedError(vendor.no_key, provider=name))
            continue
        then_ns = now_ns
        if transport is not None:
            then_ns = _as_of(vendor.provider, query, span, transport, now_ns)
        made = _recipe(
            vendor.provider, query, span, then_ns, from_the_start=from_the_start
        )
        if isinstance(made, Unable):
            found.append(CapabilityMissingError(made.reason, provider=name))
        else:
            found.append(Candidate(vendor, made, then_ns))
    return found


def _recipe(
    provider: Provider,
    query: BarQuery,
    span: Span,
    now_ns: int,
    *,
    from_the_start: bool = False,
) -> Recipe | Unable:
    instrument = query.instrument
    if provider.spelling(instrument) is None:
        place = f" on {instrument.exchange}" if instrument.exchange else ""
        return Unable(f"has no {instrument.asset_class} {instrument.symbol}{place}")
    adjustable = instrument.asset_class.adjustable
    need = Need(
        instrument.asset_class,
        query.interval,
        query.adjustment if adjustable else Adjustment.RAW,
        query.hours,
        span,
        now_ns,
        from_the_start,
    )
    return recipe(provider.capabilities, need)


def _as_of(
    provider: Provider, query: BarQuery, span: Span, transport: Transport, now_ns: int
) -> int:
    """Return now, or when the recording was made that would answer."""
    made = _recipe(provider, query, span, span.end_ns)
    if isinstance(made, Unable):
        return now_ns
    probe = BarAsk(
        query.instrument, made.interval, made.adjustment, span, span.end_ns, query.hours
    )
    for request in provider.bar_requests(probe)[:1]:
        recorded_ns = transport.as_of_ns(request)
        if recorded_ns is not None:
            return recorded_ns
    return now_ns
