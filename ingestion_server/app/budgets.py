"""
What each vendor allows and costs: as its plan declares, or as settings say instead.

A vendor's declarations are right, as tests see to; what settings make of them is
looked at when they are loaded, and told in the words of whoever set it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

import msgspec

from ingestion_server.app.settings import Settings
from ingestion_server.app.vendor_sections import BudgetSettings, WindowSettings
from ingestion_server.app.words import quoted
from ingestion_server.ports.budget import Budget, Scope, Window
from ingestion_server.ports.provider import Provider
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.faults import Fault, faults

_PLACE: Final = re.compile(r"(\w+)(?:\[(\d+)\])?(?:\.(.*))?", re.DOTALL)
"""What a path is made of: the budget's part, which of several, and what of that."""

_ANY: Final = "*"
"""Stands for every endpoint without a weight of its own."""


def budget_of(settings: Settings, provider: Provider, plan_name: str) -> Budget:
    """Return what a plan declares, with what settings say instead."""
    chosen = settings.providers.of(provider.name).budget
    return _merged(provider, provider.plans[plan_name], chosen)


def problems(settings: Settings, providers: Sequence[Provider] = ()) -> Iterator[str]:
    """Tell what is wrong with the budgets that settings changed; of all, if none."""
    for provider in providers or (AlphaVantage(), Yahoo(), Finnhub(), IexCloud()):
        if provider.name in settings.providers.budgeted():
            chosen = settings.providers.of(provider.name)
            yield from _problems(
                settings, provider, chosen.budget, chosen.plan or provider.default_plan
            )


def _problems(
    settings: Settings, provider: Provider, chosen: BudgetSettings, plan: str
) -> Iterator[str]:
    declared = provider.plans[plan]
    budget = _merged(provider, declared, chosen)
    above = f"providers.{provider.name}.budget"
    unknown = dict(_unknown_endpoints(provider, chosen))
    for path, meant in unknown.items():
        origin = settings.origin(f"{above}.weights")
        yield f"{above}.{path} ({origin}): unknown endpoint; {meant}"
    for fault in _faults(provider, budget):
        if fault.path in unknown:
            continue
        part, value = _found(budget, fault.path)
        if getattr(chosen, part) is not None:
            yield (
                f"{above}.{fault.path} ({settings.origin(f'{above}.{part}')}): "
                f"expected {fault.expected}, got {quoted(value)}"
            )
            continue
        # The plan's own part is right by itself: something that was set upsets it.
        for culprit in _culprits(provider, declared, chosen, fault):
            key = f"{above}.{culprit}"
            yield (
                f"{key} ({settings.origin(key)}): does not fit {fault.path} of plan "
                f"{plan!r}: expected {fault.expected}, got {quoted(value)}"
            )


def _unknown_endpoints(
    provider: Provider, chosen: BudgetSettings
) -> Iterator[tuple[str, str]]:
    """Yield the paths of weights that no call would have, and what may be meant."""
    known = {name.casefold(): name for name in (*sorted(provider.endpoints), _ANY)}
    for name in chosen.weights or ():
        if name not in known.values():
            alike = get_close_matches(name.casefold(), known, n=1)
            yield (
                f"weights.{name}",
                f"did you mean {known[alike[0]]}?"
                if alike
                else f"expected one of {', '.join(known.values())}",
            )


def _merged(provider: Provider, declared: Budget, chosen: BudgetSettings) -> Budget:
    parts = {name: getattr(chosen, name) for name in BudgetSettings.model_fields}
    parts = {name: value for name, value in parts.items() if value is not None}
    if chosen.windows is not None:
        usual = Scope.KEY if provider.needs_key else Scope.IP
        parts["windows"] = tuple(_window(each, usual) for each in chosen.windows)
        parts["configured"] = True
    return msgspec.structs.replace(declared, **parts)


def _window(window: WindowSettings, usual: Scope) -> Window:
    told = window.model_dump(exclude={"scope"})
    return Window(**told, scope=window.scope or usual)


def _faults(provider: Provider, budget: Budget) -> Iterator[Fault]:
    """Yield what is wrong by itself, and what is wrong for this vendor and for us."""
    yield from faults(budget)
    others = "key, ip or account" if provider.needs_key else "ip or account"
    for place, window in enumerate(budget.windows):
        path = f"windows[{place}].scope"
        if window.scope is Scope.KEY and not provider.needs_key:
            yield Fault(path, f"{others}, for {provider.name} has no key")
        if window.scope is Scope.CONNECTION:
            yield Fault(path, f"{others}, for nothing meters connections yet")


def _culprits(
    provider: Provider, declared: Budget, chosen: BudgetSettings, fault: Fault
) -> Iterator[str]:
    """Name what was set and without which there would be no such fault."""
    for name in BudgetSettings.model_fields:
        if getattr(chosen, name) is not None:
            without = chosen.model_copy(update={name: None})
            if fault not in _faults(provider, _merged(provider, declared, without)):
                yield name


def _found(budget: Budget, path: str) -> tuple[str, object]:
    """Return the part of the budget that a path begins with, and what stands there."""
    found = _PLACE.fullmatch(path)
    assert found is not None  # noqa: S101 - it is one of our own
    part, place, inner = found.groups()
    value = getattr(budget, part)
    if place is not None:
        value = getattr(value[int(place)], inner)
    elif inner is not None:
        value = value[inner]
    elif part == "windows":
        return part, len(value)
    return part, _plain(value)


def _plain(value: object) -> object:
    """Return a value as it was written rather than as it is held."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value) if isinstance(value, StrEnum) else value
