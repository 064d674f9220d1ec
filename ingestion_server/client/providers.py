"""Who the vendors are, how they have done of late, and why one is asked first."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketdata.ingestion.v1 import provider_pb2, provider_service_pb2

from ingestion_server.client import vocabulary, wire
from ingestion_server.client.cache_use import CacheUse, cache_use_from
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.vocabulary import word
from ingestion_server.client.wire import maybe_moment, maybe_span, moment, span


@dataclass(frozen=True, slots=True)
class ScoreFactor:
    """Tell one part of a score."""

    name: str
    """For example ``success`` or ``latency``."""
    value: float
    """From 0 (worst) to 1."""
    weight: float
    """How much it counts; the weights of all factors add up to 1."""
    detail: str
    """What it was computed from, in plain words."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Tell where a breaker stands: what keeps calls from a vendor that fails."""

    state: str
    """``CLOSED``: calls pass; ``OPEN``: none does; ``HALF_OPEN``: a probe does."""
    opened_at: datetime | None
    """When it opened; None while it is closed."""
    reason: str
    """What the failure said that opened it; empty while it is closed."""
    retry_at: datetime | None
    """When a probe may pass; None while it is closed."""
    consecutive_failures: int
    """Failures in a row."""
    rest: timedelta
    """How long it rests after each failed probe; grows with each."""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Tell how a vendor has done of late with one kind of data."""

    kind: str
    """Kind of data and of instrument, for example ``bars:equity``."""
    samples: float
    """Calls that the figures rest on, older ones counting less."""
    judged: bool
    """Whether there were enough; if not, the score is that of a vendor unknown."""
    score: float
    """From 0 (worst) to 1."""
    factors: tuple[ScoreFactor, ...]
    """What the score is made of."""
    latency_p50: timedelta | None
    """Median time of an answer; None before the first."""
    latency_p95: timedelta | None
    """Time within which 95 % of the answers came; None before the first."""
    last_success_at: datetime | None
    """When a call last succeeded; None if none has since the server started."""
    last_failure_at: datetime | None
    """When a call last failed; None if none has since the server started."""
    last_failure: str
    """What the last failure said; empty if there is none."""
    breaker: Breaker
    """The breaker."""


@dataclass(frozen=True, slots=True)
class ProviderCapability:
    """Tell what a vendor serves as it is, in the words of `Query`."""

    asset_classes: tuple[str, ...]
    """Kinds of instruments, for example ``equity``."""
    intervals: tuple[str, ...]
    """Lengths of bars, for example ``1d``."""
    adjustments: tuple[str, ...]
    """How its own bars are adjusted, for example ``raw``."""
    extended_hours: bool
    """Whether intraday bars cover extended hours too."""
    reach: timedelta | None
    """How far back from now bars reach; None = there is no such limit."""
    earliest: datetime | None
    """Before this the vendor has nothing; None = unknown."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Tell all that is known of one vendor."""

    name: str
    """Id of the vendor, for example ``alpha_vantage``."""
    stage: str
    """Whether it still serves: ``ACTIVE``, ``DEPRECATED`` or ``RETIRED``."""
    stage_since: str
    """Day of the last change of that, as ISO date; empty if it was always so."""
    enabled: bool
    """Whether the server asks it: switched on, and not retired."""
    priority: int
    """Place in the order: smaller is asked first, equals share the load."""
    priority_configured: bool
    """Whether an operator chose it; then the score does not change the order."""
    unusable_reason: str
    """Why it cannot be asked at all, in plain words; empty if it can."""
    capabilities: tuple[ProviderCapability, ...]
    """What it serves as it is, without the server computing anything."""
    feed_delay: timedelta | None
    """How late its data are by its own word; None if it does not say."""
    plan: str
    """The plan in force, for example ``free``."""
    monthly_usd: float
    """Flat price of a month in US dollars."""
    per_unit_usd: float
    """Price of a unit beyond the allowance in US dollars; 0 for flat plans."""
    health: tuple[ProviderHealth, ...]
    """Health, score and breaker for each kind of data."""


@dataclass(frozen=True, slots=True)
class Providers:
    """Hold all vendors at one moment."""

    providers: tuple[Provider, ...]
    """The vendors, in the order in which they are asked."""
    cache: CacheUse | None
    """What is kept of their answers; None if the server does not tell."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: provider_service_pb2.ListProvidersResponse = field(
        repr=False, compare=False
    )
    """The same on the wire."""

    def only(self, names: Collection[str]) -> Providers:
        """
        Return some of the vendors; without names, all.

        Raises:
            ValueError: a name is no vendor's (InvalidOptionError).

        """
        there = [each.name for each in self.providers]
        if unknown := [name for name in names if name not in there]:
            raise InvalidOptionError(
                f"{unknown[0]!r} is no vendor; there are: {', '.join(there) or 'none'}"
            )
        kept = [each for each in self._answer.providers if each.name in names]
        return providers_from(self._with(kept)) if names else self

    def updated(self, changes: ProviderChanges) -> Providers:
        """Return the state after some changes."""
        news = changes._answer  # noqa: SLF001 - of the same family
        providers = {each.name: each for each in self._answer.providers}
        providers |= {each.name: each for each in news.providers}
        state = self._with(providers.values())
        state.as_of.CopyFrom(news.as_of)
        if news.HasField("cache"):
            state.cache.CopyFrom(news.cache)
        return providers_from(state)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the ListProvidersResponse in protobuf's JSON; indent None = a line."""
        return wire.json(self._answer, indent)

    def _with(
        self, providers: Iterable[provider_pb2.Provider]
    ) -> provider_service_pb2.ListProvidersResponse:
        """Return the same on the wire, but of these vendors."""
        answer = provider_service_pb2.ListProvidersResponse(providers=providers)
        answer.as_of.CopyFrom(self._answer.as_of)
        if self._answer.HasField("cache"):
            answer.cache.CopyFrom(self._answer.cache)
        return answer


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """Tell one change of a vendor."""

    number: int
    """Ascending since the server started."""
    kind: str
    """``BREAKER_OPENED``, ``BREAKER_HALF_OPEN``, ``BREAKER_CLOSED``, ``UPDATED``."""
    provider: str
    """Id of the vendor."""
    data_kind: str
    """For example ``bars:equity``; empty if it is about all kinds of data."""
    at: datetime
    """When."""
    detail: str
    """The particulars, in plain words."""


@dataclass(frozen=True, slots=True)
class ProviderChanges:
    """Tell what has changed."""

    providers: tuple[Provider, ...]
    """Vendors that differ from what was sent before; in the first message all."""
    events: tuple[ProviderEvent, ...]
    """Events, oldest first, each told once."""
    cache: CacheUse | None
    """What is kept of their answers, all of it; None if the server does not tell."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: provider_service_pb2.WatchProvidersResponse = field(
        repr=False, compare=False
    )
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the WatchProvidersResponse in protobuf's JSON; indent None = a line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class RouteCandidate:
    """Tell one vendor that could answer a question, or that cannot."""

    provider: str
    """Id of the vendor."""
    excluded_reason: str
    """A reason, a colon, and plain words; empty if it is in the route."""
    excluded_until: datetime | None
    """Until when it is left out; None if it is not, or nobody knows."""
    derivation: str
    """How its own bars become the wanted ones; empty if they are the wanted ones."""
    score: float | None
    """From 0 (worst) to 1; None if it cannot serve such data at all."""
    factors: tuple[ScoreFactor, ...]
    """What the score is made of."""
    price_usd: float
    """Price of the calls for the bars in US dollars at the margin."""
    why: str
    """Why it stands at this place, in plain words."""


@dataclass(frozen=True, slots=True)
class Route:
    """Hold whom a question would be asked of, and who is left out."""

    candidates: tuple[RouteCandidate, ...]
    """Those in the route, first choice first, and then those left out."""
    as_of: datetime
    """The moment, by the server's clock."""
    _answer: provider_service_pb2.ExplainRouteResponse = field(
        repr=False, compare=False
    )
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the ExplainRouteResponse in protobuf's JSON; indent None = a line."""
        return wire.json(self._answer, indent)


def providers_from(answer: provider_service_pb2.ListProvidersResponse) -> Providers:
    """Read all vendors."""
    return Providers(
        providers=tuple(map(provider_from, answer.providers)),
        cache=cache_use_from(answer.cache) if answer.HasField("cache") else None,
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def provider_changes_from(
    answer: provider_service_pb2.WatchProvidersResponse,
) -> ProviderChanges:
    """Read what has changed."""
    return ProviderChanges(
        providers=tuple(map(provider_from, answer.providers)),
        events=tuple(map(_event, answer.events)),
        cache=cache_use_from(answer.cache) if answer.HasField("cache") else None,
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def route_from(answer: provider_service_pb2.ExplainRouteResponse) -> Route:
    """Read whom a question would be asked of."""
    return Route(
        candidates=tuple(map(_candidate, answer.candidates)),
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def provider_from(told: provider_pb2.Provider) -> Provider:
    """Read one vendor."""
    stages = provider_pb2.ProviderLifecycle.Stage.items()
    return Provider(
        name=told.name,
        stage=wire.name(stages, told.lifecycle.stage, "STAGE_"),
        stage_since=told.lifecycle.since,
        enabled=told.enabled,
        priority=told.priority,
        priority_configured=told.priority_configured,
        unusable_reason=told.unusable_reason,
        capabilities=tuple(map(_capability, told.capabilities)),
        feed_delay=maybe_span(told, "feed_delay"),
        plan=told.price.plan,
        monthly_usd=told.price.monthly_usd,
        per_unit_usd=told.price.per_unit_usd,
        health=tuple(map(_health, told.health)),
    )


def _capability(told: provider_pb2.ProviderCapability) -> ProviderCapability:
    return ProviderCapability(
        asset_classes=tuple(
            word(vocabulary.ASSET_CLASSES, each) for each in told.asset_classes
        ),
        intervals=tuple(word(vocabulary.INTERVALS, each) for each in told.intervals),
        adjustments=tuple(
            word(vocabulary.ADJUSTMENTS, each) for each in told.adjustments
        ),
        extended_hours=told.extended_hours,
        reach=maybe_span(told, "reach"),
        earliest=maybe_moment(told, "earliest"),
    )


def _health(told: provider_pb2.ProviderHealth) -> ProviderHealth:
    return ProviderHealth(
        kind=told.kind,
        samples=told.samples,
        judged=told.judged,
        score=told.score,
        factors=tuple(map(_factor, told.factors)),
        latency_p50=maybe_span(told, "latency_p50"),
        latency_p95=maybe_span(told, "latency_p95"),
        last_success_at=maybe_moment(told, "last_success_at"),
        last_failure_at=maybe_moment(told, "last_failure_at"),
        last_failure=told.last_failure,
        breaker=_breaker(told.breaker),
    )


def _breaker(told: provider_pb2.Breaker) -> Breaker:
    return Breaker(
        state=wire.name(provider_pb2.Breaker.State.items(), told.state, "STATE_"),
        opened_at=maybe_moment(told, "opened_at"),
        reason=told.reason,
        retry_at=maybe_moment(told, "retry_at"),
        consecutive_failures=told.consecutive_failures,
        rest=span(told.rest),
    )


def _factor(told: provider_pb2.ScoreFactor) -> ScoreFactor:
    return ScoreFactor(told.name, told.value, told.weight, told.detail)


def _event(told: provider_pb2.ProviderEvent) -> ProviderEvent:
    return ProviderEvent(
        number=told.number,
        kind=wire.name(provider_pb2.ProviderEvent.Kind.items(), told.kind, "KIND_"),
        provider=told.provider,
        data_kind=told.data_kind,
        at=moment(told.at),
        detail=told.detail,
    )


def _candidate(told: provider_pb2.RouteCandidate) -> RouteCandidate:
    return RouteCandidate(
        provider=told.provider,
        excluded_reason=told.excluded_reason,
        excluded_until=maybe_moment(told, "excluded_until"),
        derivation=told.derivation,
        score=told.score if told.HasField("score") else None,
        factors=tuple(map(_factor, told.factors)),
        price_usd=told.price_usd,
        why=told.why,
    )
