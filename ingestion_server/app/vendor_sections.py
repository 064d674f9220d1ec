"""What can be set about vendors: which there are, and what is so of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr

from ingestion_server.app.sections import IntradayLabel, Section
from ingestion_server.app.words import (
    AsJson,
    AsText,
    Count,
    Expected,
    Header,
    Key,
    Length,
    Root,
    Seconds,
    Separated,
    Text,
    Unique,
    Unset,
    Usd,
    Whole,
)
from ingestion_server.ports.budget import Counts, Period, Scope, WindowKind

VendorId = Literal["alpha_vantage", "yahoo", "finnhub", "iex_cloud"]
AlphaVantagePlan = Literal["free", "75", "150", "300", "600", "1200"]
FinnhubPlan = Literal["free", "150", "premium", "900"]
IexCloudPlan = Literal["free", "individual", "business"]

_BY_PLAN = Unset("as the plan says")
_AS_FOR_ALL = Unset("as for all vendors")
Rank = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | None,
    Expected("an integer from 0 to 1000"),
    Unset("by the order"),
]


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


class FinnhubSettings(Section):
    """Set up Finnhub."""

    enabled: bool = True
    """Whether it may be asked; without a key it is not."""
    api_key: Key = SecretStr("")
    """The key; also read from FINNHUB_API_KEY, and from files (``…_FILE``)."""
    plan: Annotated[FinnhubPlan | None, AsText, Unset("free")] = None
    """
    What the key was bought for: ``free`` (60 calls a minute, no bars), ``premium``.

    ``premium`` = market data at 300 calls a minute; it is sold at 150 and 900 as well.
    By default it is ``free``; with the sandbox, what that is set to.
    """
    budget: BudgetSettings = BudgetSettings()
    """What it allows and costs, if that is not what the plan declares."""
    breaker: VendorBreakerSettings = VendorBreakerSettings()
    """When it rests, if that is not as for all vendors."""
    priority: Rank = None
    """Its place: smaller is asked first, equals share the load."""


class IexCloudSettings(Section):
    """Set up IEX Cloud, or rather a service that speaks as it did."""

    enabled: bool = False
    """Whether it may be asked; the service itself was closed on 2024-08-31."""
    base_url: Annotated[Root | None, Unset("the closed service")] = None
    """
    Address of a compatible service, below which ``stock/AAPL/chart`` lies.

    Without one nothing but the sandbox and recordings can be asked.
    """
    api_key: Key = SecretStr("")
    """The key; also read from IEX_TOKEN, and from files (``…_FILE``)."""
    plan: Annotated[IexCloudPlan | None, Unset("free")] = None
    """
    What the key was bought for: ``free``, ``individual`` or ``business``.

    50,000, 5 million and 150 million messages a month. By default it is ``free``.
    """
    messages_per_month: Annotated[
        Annotated[int, Field(ge=50, le=1_000_000_000)] | None,
        Expected("an integer from 50 to 1000000000"),
        _BY_PLAN,
    ] = None
    """
    Messages that may be used in a calendar month; a day of minutes takes 50.

    By default as the plan says; with the sandbox, what that is set to.
    """
    budget: BudgetSettings = BudgetSettings()
    """What it allows and costs, if that is not what the plan declares."""
    breaker: VendorBreakerSettings = VendorBreakerSettings()
    """When it rests, if that is not as for all vendors."""
    priority: Rank = None
    """Its place: smaller is asked first, equals share the load."""


VendorSettings = (
    AlphaVantageSettings | YahooSettings | FinnhubSettings | IexCloudSettings
)


class ProvidersSettings(Section):
    """Choose vendors."""

    order: Annotated[
        tuple[VendorId, ...],
        Separated,
        Unique,
        Expected(
            "vendors (alpha_vantage, yahoo, finnhub, iex_cloud), each at most once"
        ),
    ] = ("alpha_vantage", "yahoo", "finnhub")
    """
    Who is asked first; those not named come last.

    Outside of the US, vendors that name the unit of their prices come before others.
    """
    alpha_vantage: AlphaVantageSettings = AlphaVantageSettings()
    """Alpha Vantage: official, needs a key."""
    yahoo: YahooSettings = YahooSettings()
    """Yahoo: unofficial, needs none."""
    finnhub: FinnhubSettings = FinnhubSettings()
    """Finnhub: official, needs a key; a free one gets quotes, but no bars."""
    iex_cloud: IexCloudSettings = IexCloudSettings()
    """IEX Cloud: closed in 2024; for compatible services, needs a key."""

    def of(self, name: str) -> VendorSettings:
        """Return a vendor's settings."""
        match name:
            case "alpha_vantage":
                return self.alpha_vantage
            case "yahoo":
                return self.yahoo
            case "finnhub":
                return self.finnhub
            case "iex_cloud":
                return self.iex_cloud
            case _:
                raise KeyError(name)

    def budgeted(self) -> tuple[VendorId, ...]:
        """Name the vendors of whose budgets something was set."""
        vendors: tuple[VendorId, ...] = get_args(VendorId)
        return tuple(v for v in vendors if self.of(v).budget != BudgetSettings())

    def key_of(self, name: str) -> str:
        """Return a vendor's key in the clear; empty if there is none."""
        vendor = self.of(name)
        if isinstance(vendor, YahooSettings):
            return ""
        return vendor.api_key.get_secret_value()
