"""Which vendors may serve the live data of one kind of one instrument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ingestion_server.domain.errors import CapabilityMissingError, ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.channel import Route
from ingestion_server.ingest.live.connection import Upstream


def route(
    instrument: Instrument,
    kind: TickKind,
    policy: SourcePolicy,
    names: Sequence[str],
    upstreams: Mapping[str, Upstream],
    *,
    chosen: bool,
) -> Route:
    """
    Return who may serve, first choice first.

    Unless somebody has chosen an order (``chosen``: an operator), who tells every
    trade comes before who tells samples, and that before who has to be asked. Raises
    ``CapabilityMissingError`` if nobody can, or why none of those who can may be asked.
    """
    able = [name for name in names if _serves(upstreams.get(name), instrument, kind)]
    if not able:
        raise CapabilityMissingError(
            f"none of {', '.join(names) or 'no vendor'} streams {kind} of "
            f"{instrument.symbol}",
            provider="",
        )
    if all(upstreams[name].available() is not None for name in able):
        raise unable(able, upstreams)
    if policy.mode is SourceMode.ANY and not chosen:
        able.sort(
            key=lambda name: (
                upstreams[name].polled,
                upstreams[name].declaration.sampled,
            )
        )
    return Route(tuple(able), _own_bars(policy))


def _serves(upstream: Upstream | None, instrument: Instrument, kind: TickKind) -> bool:
    return (
        upstream is not None
        and kind in upstream.declaration.kinds
        and instrument.asset_class in upstream.declaration.asset_classes
        and upstream.spelling(instrument) is not None
    )


def unable(names: Iterable[str], upstreams: Mapping[str, Upstream]) -> ProviderError:
    """Return why none of these vendors streams."""
    for name in names:
        upstream = upstreams.get(name)
        error = None if upstream is None else upstream.available()
        if error is not None:
            return error
    named = ", ".join(names)
    return CapabilityMissingError(
        f"no live data of this kind from {named}", provider=""
    )


def _own_bars(policy: SourcePolicy) -> tuple[str, ...]:
    """Return whose own bars may be served in place of ours; empty = anybody's."""
    return () if policy.mode is SourceMode.ANY else policy.providers
