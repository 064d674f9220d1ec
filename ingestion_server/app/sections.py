"""What can be set, section by section: units, limits, and why the default is so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ingestion_server.app import folders
from ingestion_server.app.words import (
    Address,
    AsJson,
    AsText,
    Count,
    Expected,
    Header,
    Key,
    Length,
    Place,
    Seconds,
    Separated,
    Text,
    Unique,
    Unset,
    Usd,
    Whole,
)
from ingestion_server.ports.budget import Counts, Period, Scope, WindowKind

VendorId = Literal["alpha_vantage", "yahoo"]
AlphaVantagePlan = Literal["free", "75", "150", "300", "600", "1200"]
SandboxPlan = Annotated[
    str,
    AsText,
    Field(pattern=r"^(?:free|75|150|300|600|1200|[1-9][0-9]{0,4}per[1-9][0-9]{0,4}s)$"),
    Expected(
        "one of free, 75, 150, 300, 600, 1200, or CALLSperSECONDSs such as 60per5s, "
        "both from 1 to 99999"
    ),
]
"""As the sandbox has it; asking that would load all of it at every start."""
IntradayLabel = Literal["start", "end"]

_BY_PLAN = Unset("as the plan says")
_AS_FOR_ALL = Unset("as for all vendors")
Rank = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | None,
    Expected("an integer from 0 to 1000"),
    Unset("by the order"),
]


class Section(BaseModel):
    """Group settings that belong together; nothing changes after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GrpcSettings(Section):
    """Set up the gRPC door."""

    address: Address = "127.0.0.1:50051"
    """Where it listens; by default only this machine can reach it."""
    tls_certificate_file: Annotated[Place | None, Unset("no TLS")] = None
    """Certificate chain in PEM; with its key, and only then, the door speaks TLS."""
    tls_key_file: Annotated[Place | None, Unset("no TLS")] = None
    """Private key in PEM, not encrypted."""
    allow_insecure_bind: bool = False
    """Let other machines in without TLS, for example behind a proxy that has it."""
    max_concurrent_calls: Count = 256
    """Calls inside at a time; more are refused at once rather than queued."""
    symbols_at_once: Count = 8
    """Symbols of one ``FetchBatch`` under way at a time, so that none takes all."""
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """How long calls may go on after the stop signal; orchestrators kill after 30."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.tls_certificate_file is None) is not (self.tls_key_file is None):
            raise ValueError(
                "expected both of tls_certificate_file and tls_key_file, or neither"
            )
        return self


class HttpSettings(Section):
    """Set up the HTTP door: health, later pages for operators."""

    address: Address = "127.0.0.1:8080"
    """Where it listens; by default only this machine can reach it."""


class StateSettings(Section):
    """Keep what must survive a restart."""

    folder: Annotated[Place | None, Unset("the user's state folder")] = None
    """Where; by default the user's state folder (``$XDG_STATE_HOME``)."""

    def place(self) -> Path:
        """Return the folder that is meant; it may not exist yet."""
        return self.folder or folders.user_state_folder()


class CalendarSettings(Section):
    """Know when exchanges are open."""

    cache_folder: Annotated[Place | None, Unset("the user's cache folder")] = None
    """Where computed ones are kept; by default the user's (``$XDG_CACHE_HOME``)."""


class TransportSettings(Section):
    """Bound what vendors may take."""

    call_seconds: Seconds = 10.0
    """The longest that one call of a vendor may take."""
    body_bytes: Count = 64 * 1024 * 1024
    """The largest body, decompressed; 20 years of minutes fit."""
    connections: Count = 64
    """Open at a time to all vendors; more exchanges wait for one."""
    connections_per_host: Count = 16
    """Open at a time to one host, so that none takes all."""


class RetrySettings(Section):
    """Try a call again after a failure that may pass."""

    attempts: Count = 3
    """How often it is tried in all; 1 = never again."""
    first_seconds: Seconds = 0.1
    """The longest pause after the first try; doubled after each."""
    longest_seconds: Seconds = 2.0
    """The longest pause of our own choice."""


class BreakerSettings(Section):
    """Let a failing vendor rest."""

    failures: Count = 5
    """How many questions in a row, all tries of each, open the breaker."""
    rest_seconds: Seconds = 30.0
    """How long it stays open until one probe is let through; doubled if that fails."""
    longest_rest_seconds: Seconds = 300.0
    """What doubling leads to; a longer first rest stays as it is."""


class ActionsSettings(Section):
    """Remember splits and dividends."""

    cache_entries: Count = 4096
    """Instruments remembered; a few kilobytes each."""
    cache_seconds: Seconds = 21_600.0
    """How long; a new split is known a quarter of a day later at most."""


class CacheSettings(Section):
    """Remember bars, so that nobody is asked twice for what cannot change."""

    enabled: bool = True
    """Whether bars are kept; requests that want the same at once share calls anyway."""
    memory_bytes: Count = 256 * 1024 * 1024
    """The most in memory, some 60 bytes a bar; what was used longest ago goes first."""
    encoded_bytes: Count = 64 * 1024 * 1024
    """The most of answers as they are sent, beside the bars."""
    file_bytes: Count = 4 * 1024 * 1024 * 1024
    """The most in the file in the state folder that survives a restart."""
    forming_seconds: Length = 5.0
    """How long a bar that can still change is as good as asking; 0 = never."""
    absent_seconds: Length = 60.0
    """How long an unknown symbol, or a bar that a vendor lacks, is not asked again."""


class HedgeSettings(Section):
    """Ask another vendor as well when one is slow."""

    share: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        Expected("a number from 0 to 1"),
    ] = 0.05
    """Extra calls at most, of all, some of them saved up; 0 = none."""
    longest_delay_seconds: Seconds = 1.0
    """How long a vendor is waited for at most; less if it is usually quicker."""


class QuotaSettings(Section):
    """Share what vendors allow."""

    interactive_share: Annotated[
        float,
        Field(ge=0, le=0.9, allow_inf_nan=False),
        Expected("a number from 0 to 0.9"),
    ] = 0.1
    """Share of each window that batch calls can never take."""


class WindowSettings(Section):
    """
    Allow so much per stretch of time; fields mean what they mean in a declared window.

    Only types are checked here: what makes no sense is found in the whole budget.
    """

    name: Text
    limit: Whole
    kind: WindowKind = WindowKind.ROLLING
    seconds: Length = 0.0
    period: Period | None = None
    reset_zone: Text = "UTC"
    counts: Counts = Counts.CALLS
    scope: Scope | None = None
    """None = the key, or the address if the vendor has no key."""
    margin_seconds: Length | None = None
    limit_header: Header = ""
    remaining_header: Header = ""
    reset_header: Header = ""


class BudgetSettings(Section):
    """Replace parts of what the chosen plan declares."""

    windows: Annotated[
        tuple[WindowSettings, ...] | None,
        AsJson(),
        Expected("a list of tables, one for each window"),
        _BY_PLAN,
    ] = None
    """What may leave; an empty list = no limit. In a variable, JSON."""
    weights: Annotated[
        Mapping[str, Whole] | None,
        AsJson(),
        Expected("a table of units by endpoint"),
        _BY_PLAN,
    ] = None
    """Units of a call by its endpoint; 1 where nothing is said. In a variable, JSON."""
    price_per_unit_usd: Annotated[Usd | None, _BY_PLAN] = None
    """Price of a unit beyond the allowance."""
    allowance_units: Annotated[int | None, Expected("an integer ≥ 0"), _BY_PLAN] = None
    """Units of a calendar month (UTC) that the flat price pays for."""
    monthly_price_usd: Annotated[Usd | None, _BY_PLAN] = None
    """The flat price."""
    used_header: Annotated[
        Header | None, Expected("the name of a header"), _BY_PLAN
    ] = None
    """Response header that tells how many units a call cost."""


class VendorBreakerSettings(Section):
    """Let one vendor rest sooner or longer than the others."""

    failures: Annotated[Count | None, _AS_FOR_ALL] = None
    """How many questions in a row, for one kind of data, open its breaker."""
    rest_seconds: Annotated[Seconds | None, _AS_FOR_ALL] = None
    """How long it stays open until one probe is let through; doubled if that fails."""
    longest_rest_seconds: Annotated[Seconds | None, _AS_FOR_ALL] = None
    """What doubling leads to; a longer first rest stays as it is."""


class RegistrySettings(Section):
    """Choose among vendors that could all answer."""

    seed: Annotated[int | None, Unset("another one at each start")] = None
    """With the same seed, the same draws among vendors that share the load."""
    probe_seconds: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        Expected("a number of seconds; 0 = never"),
    ] = 300.0
    """
    A vendor that nobody has asked for so long is asked by the server; 0 = never.

    It is asked for a few bars of what was asked last, but only if that costs nothing
    and half of its quota is left, of 1,000 calls a day at least.
    """


class AlphaVantageSettings(Section):
    """Set up Alpha Vantage."""

    enabled: bool = True
    """Whether it may be asked; without a key it is not."""
    api_key: Key = SecretStr("")
    """The key; also read from ALPHAVANTAGE_API_KEY, and from files (``…_FILE``)."""
    plan: Annotated[AlphaVantagePlan | None, AsText, Unset("free")] = None
    """
    What the key was bought for: ``free``, or calls a minute.

    By default it is ``free``; with the sandbox, what that is set to.
    """
    intraday_label: IntradayLabel = "start"
    """Which end of a bar its stamp names, where a page does not show it."""
    datatype: Literal["json", "csv"] = "json"
    """How it is asked to spell bars; both are read, whichever comes."""
    budget: BudgetSettings = BudgetSettings()
    """What it allows and costs, if that is not what the plan declares."""
    breaker: VendorBreakerSettings = VendorBreakerSettings()
    """When it rests, if that is not as for all vendors."""
    priority: Rank = None
    """Its place: smaller is asked first, equals share the load."""


class YahooSettings(Section):
    """Set up Yahoo."""

    enabled: bool = True
    """Whether it may be asked."""
    plan: Annotated[Literal["unofficial", "unmetered"] | None, Unset("unofficial")] = (
        None
    )
    """
    ``unofficial`` = 2 calls a second; ``unmetered`` is for licensed gateways.

    By default it is ``unofficial``.
    """
    budget: BudgetSettings = BudgetSettings()
    """What it allows and costs, if that is not what the plan declares."""
    breaker: VendorBreakerSettings = VendorBreakerSettings()
    """When it rests, if that is not as for all vendors."""
    priority: Rank = None
    """Its place: smaller is asked first, equals share the load."""


class ProvidersSettings(Section):
    """Choose vendors."""

    order: Annotated[
        tuple[VendorId, ...],
        Separated,
        Unique,
        Expected("vendors (alpha_vantage, yahoo), each at most once"),
    ] = ("alpha_vantage", "yahoo")
    """
    Who is asked first; those not named come last.

    Outside of the US, vendors that name the unit of their prices come before others.
    """
    alpha_vantage: AlphaVantageSettings = AlphaVantageSettings()
    """Alpha Vantage: official, needs a key."""
    yahoo: YahooSettings = YahooSettings()
    """Yahoo: unofficial, needs none."""

    def of(self, name: str) -> AlphaVantageSettings | YahooSettings:
        """Return a vendor's settings."""
        match name:
            case "alpha_vantage":
                return self.alpha_vantage
            case "yahoo":
                return self.yahoo
            case _:
                raise KeyError(name)

    def budgeted(self) -> tuple[VendorId, ...]:
        """Name the vendors of whose budgets something was set."""
        vendors: tuple[VendorId, ...] = get_args(VendorId)
        return tuple(v for v in vendors if self.of(v).budget != BudgetSettings())

    def key_of(self, name: str) -> str:
        """Return a vendor's key in the clear; empty if there is none."""
        vendor = self.of(name)
        if isinstance(vendor, AlphaVantageSettings):
            return vendor.api_key.get_secret_value()
        return ""


class LogSettings(Section):
    """Write log lines, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    format: Literal["text", "json"] = "text"
    """For people, or for collectors."""


class SandboxSettings(Section):
    """Simulate vendors; only used when the sandbox is asked for."""

    seed: int = 7
    """Another seed is another market."""
    alpha_vantage_plan: SandboxPlan = "1200"
    """Plan of a key whose ending names none; ``abc-free`` and ``abc-60per5s`` do."""
    free_full: bool = True
    """Whether the free plan may ask for a whole history."""
    alpha_vantage_label: IntradayLabel = "start"
    """Which end of an intraday bar its stamp names; the vendor used both."""
    yahoo_per_second: Count = 5
    """Requests that one client address may make in any second."""
