"""How each vendor is equipped: its policies, its quota and its key."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ingestion_server.app import secrets
from ingestion_server.app.mode import Mode, key_of
from ingestion_server.app.settings import Settings
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.shelf import ActionsCache, ActionsShelf
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.limits import (
    BreakerLimits,
    DeadlineLimits,
    PolicyLimits,
    RetryLimits,
)
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall, OnLeaving
from ingestion_server.ports.http import Transport
from ingestion_server.ports.policy import Send
from ingestion_server.ports.provider import Provider
from ingestion_server.quota.ledger import Ledger


class Workshop(msgspec.Struct, frozen=True):
    """Hold what every vendor is equipped from."""

    settings: Settings
    mode: Mode
    transport: Transport
    actions: ActionsCache
    ledger: Ledger
    clock: Clock
    hooks: Sequence[OnCall]
    leaving: Sequence[OnLeaving]
    limits: PolicyLimits
    breakers: Breakers

    def vendors(self, providers: Sequence[Provider]) -> dict[str, Vendor]:
        """Return the vendors that are switched on."""
        return {
            provider.name: self._vendor(provider)
            for provider in providers
            if provider.name in self.ledger.accounts
        }

    def _vendor(self, provider: Provider) -> Vendor:
        quota = self.ledger.accounts[provider.name]
        key = key_of(self.settings, provider.name, self.mode)

        def steps(kind: str, send: Send) -> Send:
            policies = standard_policies(
                self.limits,
                self.clock,
                breaker=self.breakers.for_key(provider.name, kind),
                quota=quota,
                kind=kind,
                hooks=self.hooks,
                leaving=self.leaving,
            )
            return pipeline(policies, send)

        return Vendor(
            provider,
            Exchange(provider, self.transport, steps, key=key),
            ActionsShelf(
                provider.name,
                self.actions,
                self.clock,
                keep_seconds=self.settings.actions.cache_seconds,
            ),
            quota,
            no_key=_no_key(provider) if provider.needs_key and not key else "",
            breaker=lambda kind: self.breakers.for_key(provider.name, kind).state(),
        )


def policy_limits(settings: Settings) -> PolicyLimits:
    """Return the limits of every call."""
    retry, breaker = settings.retry, settings.breaker
    return PolicyLimits(
        RetryLimits(
            attempts=retry.attempts,
            first_seconds=retry.first_seconds,
            longest_seconds=retry.longest_seconds,
        ),
        BreakerLimits(**breaker.model_dump()),
        DeadlineLimits(call_seconds=settings.transport.call_seconds),
    )


def breaker_limits(
    settings: Settings, for_all: BreakerLimits, name: str
) -> BreakerLimits:
    """Return the limits of one vendor's breakers."""
    own = settings.providers.of(name).breaker.model_dump(exclude_none=True)
    return msgspec.structs.replace(for_all, **own)


def _no_key(provider: Provider) -> str:
    variables = " or ".join(secrets.names(f"providers.{provider.name}.api_key"))
    return f"{provider.name} needs a key and has none; set {variables}"
