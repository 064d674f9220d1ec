"""One vendor at work: ask for bars and actions, read them, and make the wanted bars."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, concatenated
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CostLimitError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    ProviderError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import Span
from ingestion_server.domain.spans import hull
from ingestion_server.ingest.coaches import Told
from ingestion_server.ingest.collected import Piece
from ingestion_server.ingest.making import (
    Task,
    made,
    source_span,
    wanted_adjustment,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import BarAsk, Page, Provider

T = TypeVar("T")

_MOST_REQUESTS: Final = 64
"""One question of a caller may cost at most so many calls of one vendor."""
_REFUSED_SECONDS: Final = 86_400.0
"""How long what a plan does not include is not asked for again."""


class Send(Protocol):
    """Make one call of the vendor under all policies."""

    async def __call__(
        self, request: HttpRequest, read: Callable[[HttpResponse], T]
    ) -> T:
        """Return what is read of the answer, or raise a classified error."""
        ...


class Share(Protocol):
    """Ask one question, by a call that may be about others as well."""

    async def __call__(
        self, request: HttpRequest, ask: BarAsk, read: Callable[[HttpResponse], Told]
    ) -> Told:
        """Return the page and when it came; raises as making the request alone."""
        ...


class ActionsOf(Protocol):
    """Know the corporate actions of instruments, by one vendor's word."""

    async def __call__(
        self,
        instrument: Instrument,
        adjustments: frozenset[Adjustment],
        load: Callable[[], Awaitable[CorporateActions]],
    ) -> CorporateActions:
        """Return what is known, loading it once if need be."""
        ...


@dataclass(slots=True)
class Refusals:
    """Remember which features a vendor's plan turned out not to include."""

    until: dict[str, float]

    def at(self, now: float) -> frozenset[str]:
        """Return the features that are not worth asking for now."""
        self.until = {name: end for name, end in self.until.items() if end > now}
        return frozenset(self.until)


@dataclass(slots=True)
class VendorDesk:
    """Ask one vendor: build, send, read, validate, adjust, sum up."""

    provider: Provider
    send: Send
    send_for_all: Send
    """For what others wait for as well: the first caller's haste is not theirs."""
    actions_of: ActionsOf
    refusals: Refusals
    monotonic: Callable[[], float]
    share: Share | None
    """For bars of one request, which others may wait for too; None = for none."""

    async def bars(self, task: Task) -> tuple[Piece | None, IngestionError | None]:
        """
        Return the bars of the gaps, and what went wrong on the way.

        Both may be there: pages that came before a failure are not thrown away.

        Raises:
            ProviderError: Nothing could be had.
            DeadlineExceededError: Nothing came before the caller's time was over.

        """
        adjustment = wanted_adjustment(task)
        actions = None
        if task.recipe.adjustment is not adjustment:
            # First, because bars without their actions could not be used.
            actions = await self._actions(task, adjustment)
        ask = ask_of(task, self.refusals.at(self.monotonic()))
        pages, received_at_ns, failure = await self._pages(task, ask)
        if not pages:
            if failure is not None:
                raise failure
            return None, None
        rows = concatenated([page.series for page in pages])
        series, flags = made(
            rows,
            task,
            actions,
            provider=self.provider.name,
            received_at_ns=received_at_ns,
            first_trade_ns=_first_trade_ns(pages),
        )
        flags.extend(flag for page in pages for flag in page.flags)
        piece = self._piece(task, pages, series, flags, received_at_ns)
        return piece, failure

    async def _pages(
        self, task: Task, ask: BarAsk
    ) -> tuple[list[Page], int, IngestionError | None]:
        pages: list[Page] = []
        received_at_ns = 0
        try:
            requests = requests_of(self.provider, task, ask)
            share = self.share if len(requests) == 1 else None
            for request in requests:
                for page, arrived_ns in await self._sent(request, task, ask, share):
                    pages.append(page)
                    received_at_ns = max(received_at_ns, arrived_ns)
        except (ProviderError, DeadlineExceededError) as error:
            return pages, received_at_ns, error
        return pages, received_at_ns, None

    async def _sent(
        self, request: HttpRequest, task: Task, ask: BarAsk, share: Share | None
    ) -> list[Told]:
        """
        Return the pages of a request, and when each arrived.

        What the plan refuses is asked for once more without it.
        """

        def read(response: HttpResponse) -> Told:
            return self.provider.read_bars(response, ask), response.received_at_ns

        try:
            if share is not None:
                whole = msgspec.structs.replace(ask, span=_whole(task))
                return [await share(request, whole, read)]
            return [await self.send(request, read)]
        except EntitlementMissingError as error:
            if error.feature != request.feature or error.feature in ask.refused:
                raise
            self._remember(error)
            span = request.span or source_span(task.gaps[0], task)
            smaller = self.provider.bar_requests(
                msgspec.structs.replace(
                    ask, span=span, refused=self.refusals.at(self.monotonic())
                )
            )
            if any(other.feature == request.feature for other in smaller):
                raise
            return [await self.send(other, read) for other in smaller]

    async def _actions(self, task: Task, adjustment: Adjustment) -> CorporateActions:
        instrument = task.query.instrument
        needed = frozenset({task.recipe.adjustment, adjustment})
        asked: list[Instrument] = []

        async def load() -> CorporateActions:
            asked.append(instrument)
            requests = self.provider.action_requests(instrument, needed, task.now_ns)
            if not requests:
                raise CapabilityMissingError(
                    "no corporate actions", provider=self.provider.name
                )
            responses = [await self._told(request) for request in requests]
            return self.provider.read_actions(responses, instrument)

        actions: CorporateActions | None = None
        while actions is None:
            try:
                actions = await self.actions_of(instrument, needed, load)
            except ProviderError as error:
                # Else it was the limit of another caller, who had begun to load them;
                # so may be the next one's.
                if asked or not _by_limit(error):
                    raise
        if Adjustment.SPLIT_DIVIDEND in needed and not actions.complete_dividends:
            raise CapabilityMissingError(
                "the dividends are not known", provider=self.provider.name
            )
        return actions

    async def _told(self, request: HttpRequest) -> HttpResponse:
        """Return the answer; what the plan refused before is not asked for again."""
        if request.feature in self.refusals.at(self.monotonic()):
            raise EntitlementMissingError(
                f"the plan with {self.provider.name} does not include "
                f"{request.feature}",
                provider=self.provider.name,
                feature=request.feature,
            )
        try:
            return await self.send_for_all(request, _as_it_is)
        except EntitlementMissingError as error:
            self._remember(error)
            raise

    def _remember(self, error: EntitlementMissingError) -> None:
        self.refusals.until[error.feature] = self.monotonic() + _REFUSED_SECONDS

    def _piece(
        self,
        task: Task,
        pages: list[Page],
        series: BarSeries,
        flags: list[QualityFlag],
        received_at_ns: int,
    ) -> Piece:
        # Most pieces have no flags, and then nobody looks for their times.
        times = set(series.open_time_ns.tolist()) if flags else set()
        inside = [
            flag
            for flag in flags
            if flag.time_ns is None
            or flag.time_ns in times
            or any(gap.start_ns <= flag.time_ns < gap.end_ns for gap in task.gaps)
        ]
        return Piece(
            self.provider.name,
            series,
            received_at_ns,
            currency=next((page.currency for page in pages if page.currency), ""),
            volume_unit=next((p.volume_unit for p in pages if p.volume_unit), ""),
            derivation=task.recipe.derivation,
            feed_delay_seconds=self.provider.feed_delay_seconds,
            first_trade_ns=_first_trade_ns(pages),
            flags=inside,
        )


def _whole(task: Task) -> Span:
    """Return what a vendor is asked for to have all gaps."""
    return hull([source_span(gap, task) for gap in task.gaps])


def _first_trade_ns(pages: list[Page]) -> int | None:
    firsts = [p.first_trade_ns for p in pages if p.first_trade_ns is not None]
    return min(firsts, default=None)


def ask_of(task: Task, refused: frozenset[str]) -> BarAsk:
    """Return the question to a vendor whose plan lacks some features."""
    query = task.query
    return BarAsk(
        query.instrument,
        task.recipe.interval,
        task.recipe.adjustment,
        task.gaps[0],
        task.now_ns,
        query.hours,
        refused,
    )


def requests_of(provider: Provider, task: Task, ask: BarAsk) -> list[HttpRequest]:
    """
    Return the requests of all gaps; gaps that need the same one share it.

    Raises:
        ProviderError: The vendor cannot be asked so, or only with too many calls.

    """
    found: dict[tuple[object, ...], HttpRequest] = {}
    for gap in task.gaps:
        for request in provider.bar_requests(
            msgspec.structs.replace(ask, span=source_span(gap, task))
        ):
            found.setdefault((request.url, request.params, request.form), request)
    if len(found) > _MOST_REQUESTS:
        raise CapabilityMissingError(
            f"this would take {len(found)} calls, and one question may take "
            f"{_MOST_REQUESTS}; shorten the range",
            provider=provider.name,
        )
    return list(found.values())


def _by_limit(error: ProviderError) -> bool:
    """Tell whether it is, or comes of, what somebody may not spend."""
    return isinstance(error, CostLimitError) or isinstance(
        error.__cause__, CostLimitError
    )


def _as_it_is(response: HttpResponse) -> HttpResponse:
    return response
