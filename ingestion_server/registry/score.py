"""How good a choice a vendor is now, and what that is made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from ingestion_server.ports.routing import Factor, Score
from ingestion_server.registry.health import LEAST_SAMPLES, HealthView

_NEUTRAL: Final = 1.0
"""What is not known is taken as good: else nobody new would ever be asked."""
_SLOW_SECONDS: Final = 0.5
_LATE_SECONDS: Final = 900.0
_DEAR_USD: Final = 0.01
"""Latency, delay and price that are worth half of their factor."""


def score(
    view: HealthView,
    *,
    headroom: float,
    feed_delay_seconds: float | None,
    price_usd: Decimal,
) -> Score:
    """
    Return how good a choice a vendor is for a question.

    Args:
        view: how it has done of late.
        headroom: share of its tightest long window of quota that is left.
        feed_delay_seconds: how late its data are, if it says.
        price_usd: what the calls would cost.

    """
    factors = (
        _success(view),
        _latency(view),
        _completeness(view),
        _soundness(view),
        Factor("headroom", headroom, 0.10, f"{headroom:.0%} of its quota is left"),
        _freshness(feed_delay_seconds),
        Factor(
            "cost",
            _half_at(float(price_usd), _DEAR_USD),
            0.05,
            f"the calls cost {price_usd} US dollars",
        ),
    )
    value = sum(factor.value * factor.weight for factor in factors)
    return Score(min(value, 1.0), view.judged, factors)


def _success(view: HealthView) -> Factor:
    name, weight = "success", 0.35
    if view.success is None or not view.judged:
        return _unknown(name, weight, view.samples, "calls")
    detail = f"{view.success:.0%} of the latest calls succeeded"
    return Factor(name, view.success, weight, detail)


def _latency(view: HealthView) -> Factor:
    name, weight = "latency", 0.20
    if view.p50_seconds is None or not view.judged:
        return _unknown(name, weight, view.samples, "calls")
    detail = f"half of the latest answers took {view.p50_seconds:.3g} seconds or more"
    return Factor(name, _half_at(view.p50_seconds, _SLOW_SECONDS), weight, detail)


def _completeness(view: HealthView) -> Factor:
    name, weight = "completeness", 0.15
    if view.completeness is None or not view.read:
        return _unknown(name, weight, view.answers, "answers")
    detail = f"{view.completeness:.0%} of the bars that were due came"
    return Factor(name, view.completeness, weight, detail)


def _soundness(view: HealthView) -> Factor:
    name, weight = "soundness", 0.10
    if view.soundness is None or not view.read:
        return _unknown(name, weight, view.answers, "answers")
    detail = f"{view.soundness:.1%} of the rows that came were sound"
    return Factor(name, view.soundness, weight, detail)


def _freshness(feed_delay_seconds: float | None) -> Factor:
    name, weight = "freshness", 0.05
    if feed_delay_seconds is None:
        detail = "it does not say how late its data are: taken as good"
        return Factor(name, _NEUTRAL, weight, detail)
    detail = f"its data are {feed_delay_seconds:g} seconds late"
    return Factor(name, _half_at(feed_delay_seconds, _LATE_SECONDS), weight, detail)


def _unknown(name: str, weight: float, samples: float, what: str) -> Factor:
    if samples >= LEAST_SAMPLES:
        detail = f"nothing to judge by in the latest {what}: taken as good"
    else:
        detail = (
            f"too few {what} to judge ({samples:.1f} of {LEAST_SAMPLES:g}, older ones "
            "counting less): taken as good"
        )
    return Factor(name, _NEUTRAL, weight, detail)


def _half_at(amount: float, half: float) -> float:
    """Return 1 for nothing, a half for ``half``, and less for more."""
    return 1 / (1 + max(amount, 0.0) / half)
