"""What vendors meter, what is left of it, what it costs, and when it runs out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketdata.ingestion.v1 import quota_pb2, quota_service_pb2

from ingestion_server.client import wire
from ingestion_server.client.wire import maybe_moment, moment, span


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """
    Tell one limit of one vendor, and what is left of it.

    A call uses all windows of its vendor at once, or it does not leave.
    """

    provider: str
    """Id of the vendor, for example ``alpha_vantage``."""
    plan: str
    """The plan in force, for example ``free``."""
    name: str
    """For example ``day``; unique for each vendor."""
    scope: str
    """Whom the vendor meters: ``KEY``, ``IP``, ``ACCOUNT`` or ``CONNECTION``."""
    kind: str
    """How it counts: ``ROLLING``, ``FIXED`` or ``BUCKET``."""
    counts: str
    """What it counts: ``CALLS``, or ``UNITS``, as many as the call weighs."""
    source: str
    """Who said how large it is: ``DECLARED``, ``CONFIGURED`` or ``HEADER``."""
    limit: int | None
    """What the vendor allows; None if it publishes no number."""
    own_limit: int | None
    """What the server allows itself where the vendor publishes no number."""
    used: int
    """Counted and answered."""
    reserved: int
    """Counted and on their way."""
    remaining: int | None
    """What is left; None if the vendor publishes no number."""
    kept_for_interactive: int
    """How much of the limit batch calls can never take."""
    length: timedelta
    """How long it is; of a bucket, the time to refill it wholly."""
    reset_zone: str
    """IANA zone in whose days and months a fixed window turns; else empty."""
    resets_at: datetime | None
    """When all of it is free again if nothing is added; None = it is free now."""
    free_at: datetime | None
    """When one more call fits; None = now."""

    @property
    def tracked(self) -> bool:
        """Whether the vendor publishes how large it is."""
        return self.limit is not None


@dataclass(frozen=True, slots=True)
class QuotaSpend:
    """Tell what a vendor costs in one calendar month (UTC), in US dollars."""

    month: str
    """For example ``2026-11``."""
    units: int
    """Units used so far, each call as many as it weighs."""
    allowance_units: int
    """Units of a month that the flat price pays for; 0 = none, or not metered."""
    price_per_unit_usd: float
    """Price of a unit beyond the allowance; 0 for flat plans."""
    flat_usd: float
    """Flat price of the month."""
    metered_usd: float
    """Price of the units beyond the allowance, so far."""
    total_usd: float
    """Both together."""
    projected_usd: float
    """The total at the end of the month if it goes on like this."""


@dataclass(frozen=True, slots=True)
class QuotaProvider:
    """Tell what is true of all windows of a vendor together."""

    provider: str
    """Id of the vendor."""
    plan: str
    """The plan in force, for example ``free``."""
    closed_until: datetime | None
    """Until when the vendor wants to be left alone; None = it does not."""
    closed_reason: str
    """Why, in plain words; empty if it is not closed."""
    waiting_interactive: int
    """Interactive calls that wait for their turn."""
    waiting_batch: int
    """Batch calls that wait for their turn."""
    spend: QuotaSpend
    """What the vendor costs this month."""


@dataclass(frozen=True, slots=True)
class QuotaAlert:
    """Tell what an operator should know about one window."""

    number: int
    """Ascending since the server started."""
    kind: str
    """``USED_80_PERCENT``, ``USED_95_PERCENT`` or ``VIOLATION``."""
    provider: str
    """Id of the vendor."""
    window: str
    """Name of the window; empty if the vendor did not name one."""
    used: int
    """What was used then."""
    limit: int
    """The limit then."""
    at: datetime
    """When."""
    detail: str
    """The particulars, in plain words."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """Hold all windows of all vendors at one moment."""

    windows: tuple[QuotaWindow, ...]
    """The windows, those of one vendor together, the shortest first."""
    providers: tuple[QuotaProvider, ...]
    """The vendors, in the order in which they are asked."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: quota_service_pb2.ListQuotasResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def updated(self, changes: QuotaChanges) -> Quotas:
        """Return the state after some changes."""
        news = changes._answer  # noqa: SLF001 - of the same family
        windows = {(each.provider, each.name): each for each in self._answer.windows}
        windows |= {(each.provider, each.name): each for each in news.windows}
        providers = {each.provider: each for each in self._answer.providers}
        providers |= {each.provider: each for each in news.providers}
        return quotas_from(
            quota_service_pb2.ListQuotasResponse(
                windows=windows.values(),
                providers=providers.values(),
                as_of=news.as_of,
            )
        )

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the ListQuotasResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class QuotaChanges:
    """Tell what has changed."""

    windows: tuple[QuotaWindow, ...]
    """Windows that differ from what was sent before; in the first message all."""
    providers: tuple[QuotaProvider, ...]
    """Vendors that differ from what was sent before; in the first message all."""
    alerts: tuple[QuotaAlert, ...]
    """Alerts, oldest first, each told once."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: quota_service_pb2.WatchQuotasResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the WatchQuotasResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class WindowForecast:
    """Tell when a window runs out if it goes on like this."""

    window: QuotaWindow
    """The window as it is now."""
    rate_per_second: float
    """How much is used per second of late, smoothed."""
    by_time_of_day: bool
    """Whether each hour's usual traffic is expected; if not, that the rate stays."""
    expected_until_reset: int
    """How much will be asked for until the window resets."""
    exhausts_at: datetime | None
    """When the window runs out; None if it resets before."""


@dataclass(frozen=True, slots=True)
class PlanForecast:
    """Tell what becomes of planned calls, behind those that wait already."""

    provider: str
    """Id of the vendor."""
    fits: int
    """Calls that are done in time."""
    will_not_finish: int
    """Calls that are not."""
    finishes_at: datetime | None
    """When the last of them has its turn; None = in more than 400 days."""
    held_by: str
    """The window that the last of them waits for; empty if it waits for none."""
    cost_usd: float
    """Price of all of them, in US dollars at the margin."""


@dataclass(frozen=True, slots=True)
class QuotaForecast:
    """Hold what is to come."""

    windows: tuple[WindowForecast, ...]
    """One entry for each window, in the order of `Quotas`."""
    planned: tuple[PlanForecast, ...]
    """One entry for each of the planned calls, in their order."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: quota_service_pb2.ForecastQuotaResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the ForecastQuotaResponse in protobuf's JSON; indent None = a line."""
        return wire.json(self._answer, indent)


def quotas_from(answer: quota_service_pb2.ListQuotasResponse) -> Quotas:
    """Read the state of the windows."""
    return Quotas(
        windows=tuple(map(_window, answer.windows)),
        providers=tuple(map(_provider, answer.providers)),
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def changes_from(answer: quota_service_pb2.WatchQuotasResponse) -> QuotaChanges:
    """Read what has changed."""
    return QuotaChanges(
        windows=tuple(map(_window, answer.windows)),
        providers=tuple(map(_provider, answer.providers)),
        alerts=tuple(map(_alert, answer.alerts)),
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def forecast_from(answer: quota_service_pb2.ForecastQuotaResponse) -> QuotaForecast:
    """Read what is to come."""
    return QuotaForecast(
        windows=tuple(
            WindowForecast(
                window=_window(each.window),
                rate_per_second=each.rate_per_second,
                by_time_of_day=each.by_time_of_day,
                expected_until_reset=each.expected_until_reset,
                exhausts_at=maybe_moment(each, "exhausts_at"),
            )
            for each in answer.windows
        ),
        planned=tuple(
            PlanForecast(
                provider=each.provider,
                fits=each.fits,
                will_not_finish=each.will_not_finish,
                finishes_at=maybe_moment(each, "finishes_at"),
                held_by=each.held_by,
                cost_usd=each.cost_usd,
            )
            for each in answer.planned
        ),
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def _window(told: quota_pb2.QuotaWindow) -> QuotaWindow:
    return QuotaWindow(
        provider=told.provider,
        plan=told.plan,
        name=told.name,
        scope=wire.name(quota_pb2.QuotaScope.items(), told.scope, "QUOTA_SCOPE_"),
        kind=wire.name(
            quota_pb2.QuotaWindowKind.items(), told.kind, "QUOTA_WINDOW_KIND_"
        ),
        counts=wire.name(quota_pb2.QuotaCounts.items(), told.counts, "QUOTA_COUNTS_"),
        source=wire.name(quota_pb2.QuotaSource.items(), told.source, "QUOTA_SOURCE_"),
        limit=told.limit if told.HasField("limit") else None,
        own_limit=told.own_limit if told.HasField("own_limit") else None,
        used=told.used,
        reserved=told.reserved,
        remaining=told.remaining if told.HasField("remaining") else None,
        kept_for_interactive=told.kept_for_interactive,
        length=span(told.length),
        reset_zone=told.reset_zone,
        resets_at=maybe_moment(told, "resets_at"),
        free_at=maybe_moment(told, "free_at"),
    )


def _provider(told: quota_pb2.QuotaProvider) -> QuotaProvider:
    spend = told.spend
    return QuotaProvider(
        provider=told.provider,
        plan=told.plan,
        closed_until=maybe_moment(told, "closed_until"),
        closed_reason=told.closed_reason,
        waiting_interactive=told.waiting_interactive,
        waiting_batch=told.waiting_batch,
        spend=QuotaSpend(
            month=spend.month,
            units=spend.units,
            allowance_units=spend.allowance_units,
            price_per_unit_usd=spend.price_per_unit_usd,
            flat_usd=spend.flat_usd,
            metered_usd=spend.metered_usd,
            total_usd=spend.total_usd,
            projected_usd=spend.projected_usd,
        ),
    )


def _alert(told: quota_pb2.QuotaAlert) -> QuotaAlert:
    return QuotaAlert(
        number=told.number,
        kind=wire.name(
            quota_pb2.QuotaAlertKind.items(), told.kind, "QUOTA_ALERT_KIND_"
        ),
        provider=told.provider,
        window=told.window,
        used=told.used,
        limit=told.limit,
        at=moment(told.at),
        detail=told.detail,
    )
