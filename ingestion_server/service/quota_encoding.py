"""The state of budgets, from the house to the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marketdata.ingestion.v1 import quota_pb2, quota_service_pb2

from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    Lane,
    PlannedForecast,
    Spend,
    WindowForecast,
    WindowUse,
)
from ingestion_server.service.moments import duration, maybe_timestamp, timestamp
from ingestion_server.service.vocabulary import (
    ALERT_CODES,
    COUNTS_CODES,
    ORIGIN_CODES,
    SCOPE_CODES,
    WINDOW_KIND_CODES,
)


def quotas_of(
    accounts: Sequence[AccountUse], as_of_ns: int
) -> quota_service_pb2.ListQuotasResponse:
    """Return the state of budgets; of each, the shortest window first."""
    return quota_service_pb2.ListQuotasResponse(
        windows=[
            _window(use)
            for account in accounts
            for use in sorted(account.windows, key=lambda use: use.seconds)
        ],
        providers=map(_provider, accounts),
        as_of=timestamp(as_of_ns),
    )


def forecast_of(
    windows: Iterable[WindowForecast],
    planned: Iterable[PlannedForecast],
    as_of_ns: int,
) -> quota_service_pb2.ForecastQuotaResponse:
    """Return what is to come."""
    return quota_service_pb2.ForecastQuotaResponse(
        windows=map(_window_forecast, windows),
        planned=map(_plan_forecast, planned),
        as_of=timestamp(as_of_ns),
    )


def alert_of(alert: Alert) -> quota_pb2.QuotaAlert:
    """Return what an operator should know."""
    return quota_pb2.QuotaAlert(
        number=alert.number,
        kind=ALERT_CODES[alert.kind],
        provider=alert.provider,
        window=alert.window,
        used=alert.used,
        limit=alert.limit,
        at=timestamp(alert.at_ns),
        detail=alert.detail,
    )


def _window(use: WindowUse) -> quota_pb2.QuotaWindow:
    return quota_pb2.QuotaWindow(
        provider=use.provider,
        scope=SCOPE_CODES[use.scope],
        name=use.window,
        kind=WINDOW_KIND_CODES[use.kind],
        limit=use.limit if use.tracked else None,
        used=use.used,
        reserved=use.reserved,
        remaining=use.remaining if use.tracked else None,
        resets_at=maybe_timestamp(use.resets_at_ns),
        tracked=use.tracked,
        source=ORIGIN_CODES[use.origin],
        length=duration(use.seconds),
        reset_zone=use.reset_zone,
        counts=COUNTS_CODES[use.counts],
        own_limit=None if use.tracked else use.limit,
        kept_for_interactive=use.kept,
        free_at=maybe_timestamp(use.free_at_ns),
        plan=use.plan,
    )


def _provider(account: AccountUse) -> quota_pb2.QuotaProvider:
    return quota_pb2.QuotaProvider(
        provider=account.provider,
        plan=account.plan,
        closed_until=maybe_timestamp(account.closed_until_ns),
        closed_reason=account.closed_reason,
        waiting_interactive=account.waiting.get(Lane.INTERACTIVE, 0),
        waiting_batch=account.waiting.get(Lane.BATCH, 0),
        spend=_spend(account.spend),
    )


def _spend(spend: Spend) -> quota_pb2.QuotaSpend:
    return quota_pb2.QuotaSpend(
        month=spend.month,
        units=spend.units,
        allowance_units=spend.allowance_units,
        price_per_unit_usd=float(spend.price_per_unit_usd),
        flat_usd=float(spend.flat_usd),
        metered_usd=float(spend.metered_usd),
        total_usd=float(spend.total_usd),
        projected_usd=float(spend.projected_usd),
    )


def _window_forecast(forecast: WindowForecast) -> quota_pb2.QuotaWindowForecast:
    return quota_pb2.QuotaWindowForecast(
        window=_window(forecast.use),
        rate_per_second=forecast.rate_per_second,
        by_time_of_day=forecast.by_time_of_day,
        expected_until_reset=forecast.expected_until_reset,
        exhausts_at=maybe_timestamp(forecast.exhausts_at_ns),
    )


def _plan_forecast(forecast: PlannedForecast) -> quota_pb2.QuotaPlanForecast:
    return quota_pb2.QuotaPlanForecast(
        provider=forecast.planned.provider,
        fits=forecast.fits,
        will_not_finish=forecast.unfinished,
        finishes_at=maybe_timestamp(forecast.finishes_at_ns),
        held_by=forecast.held_by,
        cost_usd=float(forecast.cost_usd),
    )
