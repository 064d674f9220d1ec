"""Filling a gap with the trades of a vendor's history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import TickMark, Trade
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import Vendor, trades_kind_of
from ingestion_server.ingest.live.checks import TickChecks
from ingestion_server.ingest.live.gaps import Verdict, missing_trades
from ingestion_server.ingest.live.seeking import Search
from ingestion_server.ingest.live.slots import Slots
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.stream import TradeHistory, TradePage

_PAUSES: Final = (1.0, 5.0, 20.0)
"""
Seconds before each try: what came last over the stream must have come in, and a
vendor's history may lag behind its stream.
"""
_MOST_SECONDS: Final = 60.0
_TOO_LATE: Final = f"no time was left after {_MOST_SECONDS:.0f} s"
_REFUSED_SECONDS: Final = 86_400.0
_CHECKS: Final = TickChecks()
_MOST_QUOTA_WAIT_SECONDS: Final = 10.0
_MOST_CALLS: Final = 20
"""Of one try: so many find the gap in a list of millions and read all of it."""
_AT_ONCE: Final = 4
_MOST_WAITING: Final = 1_000
_BACKFILLED: Final = int(TickMark.BACKFILLED)
_MAY_PASS: Final = (
    ProviderUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
)


class Filled(msgspec.Struct, frozen=True):
    """Be all that was missing, which may be nothing."""

    trades: tuple[Trade, ...]
    """Ascending by time, marked as backfilled, with our symbol."""


class NotFilled(msgspec.Struct, frozen=True):
    """Say why a gap stands."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Gap:
    """Hold what is asked, and what the stream brought around it."""

    instrument: Instrument
    from_ns: int
    to_ns: int
    before: Sequence[Trade]
    after: Sequence[Trade]


@final
class Filler:
    """Ask vendors for the trades of gaps, no more than four at once."""

    def __init__(self, vendors: Mapping[str, Vendor], clock: Clock) -> None:
        """Set up; ``vendors``, those that may be asked, may change at any time."""
        self._vendors = vendors
        self._clock = clock
        self._slots = Slots(at_once=_AT_ONCE, waiting=_MOST_WAITING)

    async def fill(
        self,
        instrument: Instrument,
        provider: str,
        from_ns: int,
        to_ns: int,
        before: Sequence[Trade],
        after: Sequence[Trade],
    ) -> Filled | NotFilled:
        """
        Return the trades of ``[from_ns, to_ns)`` that the stream did not bring.

        See ``missing_trades`` for what the arguments must be; ``after`` may grow
        meanwhile. Takes at most a minute, and never fails otherwise than by
        ``NotFilled``.
        """
        gap = _Gap(instrument, from_ns, to_ns, before, after)
        with self._slots.place() as free:
            if not free:
                return NotFilled("too many gaps are waiting to be filled")
            deadline = self._clock.monotonic() + _MOST_SECONDS
            try:
                async with asyncio.timeout(_MOST_SECONDS):
                    return await self._tried(gap, provider, deadline)
            except TimeoutError:
                return NotFilled(_TOO_LATE)

    async def _tried(
        self, gap: _Gap, provider: str, deadline: float
    ) -> Filled | NotFilled:
        reason = ""
        for pause in _PAUSES:
            if self._clock.monotonic() + pause >= deadline:
                break
            await self._clock.sleep(pause)
            try:
                async with self._slots.turn():
                    verdict = await self._verdict(gap, provider, deadline)
            except _MAY_PASS as error:
                reason = _words(error)
            except (ProviderError, DeadlineExceededError) as error:
                return NotFilled(_words(error))
            else:
                if verdict.verified:
                    return Filled(self._signed(verdict.missing, gap, provider))
                reason = verdict.reason
        return NotFilled(reason or _TOO_LATE)

    async def _verdict(self, gap: _Gap, provider: str, deadline: float) -> Verdict:
        vendor = self._vendors.get(provider)
        history = None if vendor is None else vendor.provider.trade_history
        if vendor is None or history is None:
            raise CapabilityMissingError(
                f"{provider} tells no trades of the past", provider=provider
            )
        if vendor.no_key:
            raise CredentialsRefusedError(vendor.no_key, provider=provider)
        if not (gap.before and gap.after):
            # What the vendor told could not be held against anything.
            return missing_trades(gap.before, gap.after, (), gap.from_ns, gap.to_ns)
        start_ns = min(gap.from_ns, *map(_time_ns, gap.before))
        end_ns = max(gap.to_ns, max(map(_time_ns, gap.after)) + 1)
        reader = _Reader(vendor, history, self._clock, deadline)
        fetched = await reader.trades(gap.instrument, Span(start_ns, end_ns))
        now_ns = self._clock.now_ns()
        return missing_trades(
            gap.before,
            # More may have come in while the vendor was asked.
            [trade for trade in gap.after if trade.time_ns < end_ns],
            [trade for trade in fetched if not _CHECKS.trade(trade, now_ns)],
            gap.from_ns,
            gap.to_ns,
        )

    def _signed(
        self, trades: Sequence[Trade], gap: _Gap, provider: str
    ) -> tuple[Trade, ...]:
        now_ns = self._clock.now_ns()
        for trade in trades:
            trade.symbol = gap.instrument.symbol
            trade.provider = provider
            trade.received_at_ns = now_ns
            trade.marks = _BACKFILLED
        return tuple(trades)


@dataclass(slots=True)
class _Reader:
    """Read a stretch of one vendor's history, for one try."""

    vendor: Vendor
    history: TradeHistory
    clock: Clock
    deadline: float
    calls: int = 0

    async def trades(self, instrument: Instrument, span: Span) -> list[Trade]:
        """Return all that the vendor says took place."""
        name = self.vendor.provider.name
        requests = self.history.trade_requests(instrument, span.start_ns, span.end_ns)
        if not requests:
            raise CapabilityMissingError(
                f"{name} tells no past trades of {instrument.symbol}", provider=name
            )
        if len(requests) > _MOST_CALLS:
            raise self._too_many()
        allowance = Allowance(
            self.deadline,
            _MOST_QUOTA_WAIT_SECONDS,
            trades_kind_of(instrument),
            lane=Lane.BATCH,
            # Nobody has said what a gap may cost.
            most_cost_usd=Decimal(0),
        )
        found: list[Trade] = []
        for request in requests:
            listed = await self._found(request, span, allowance)
            found += [t for t in listed if span.start_ns <= t.time_ns < span.end_ns]
        return found

    async def _found(
        self, request: HttpRequest, span: Span, allowance: Allowance
    ) -> Sequence[Trade]:
        search = Search(
            span,
            provider=self.vendor.provider.name,
            page_trades=self.history.page_trades,
        )
        parts = search.parts()
        try:
            part = next(parts)
            while True:
                wanted = self.history.part_request(request, part.first, part.count)
                part = parts.send(await self._page(wanted, allowance))
        except StopIteration as done:
            trades: Sequence[Trade] = done.value
            return trades

    async def _page(self, request: HttpRequest, allowance: Allowance) -> TradePage:
        if self.calls >= _MOST_CALLS:
            raise self._too_many()
        self.calls += 1
        refusals = self.vendor.refusals
        if request.feature in refusals.at(self.clock.monotonic()):
            raise EntitlementMissingError(
                f"the plan does not include {request.feature}",
                provider=request.provider,
                feature=request.feature,
            )

        def read(response: HttpResponse) -> TradePage:
            return self.history.read_trades(response, request)

        try:
            return await self.vendor.exchange(request, read, allowance=allowance)
        except EntitlementMissingError as error:
            refusals.until[error.feature] = self.clock.monotonic() + _REFUSED_SECONDS
            raise

    def _too_many(self) -> CapabilityMissingError:
        return CapabilityMissingError(
            f"the gap takes more than {_MOST_CALLS} calls",
            provider=self.vendor.provider.name,
        )


def _words(error: IngestionError) -> str:
    return f"{error.reason}: {error.message}"


def _time_ns(trade: Trade) -> int:
    return trade.time_ns
