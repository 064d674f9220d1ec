"""Failures of one vendor in one call; see ``errors`` for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ingestion_server.domain.root_error import IngestionError


class ProviderError(IngestionError):
    """Say what one vendor did to one call."""

    transient: ClassVar[bool] = False
    """Whether the same call may succeed a moment later."""
    trips_breaker: bool = False
    """Whether it is a sign that the vendor is broken."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.provider = provider

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider}


class SymbolUnknownError(ProviderError):
    """Say that a vendor definitely does not know the symbol."""

    reason = "SYMBOL_UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        symbol: str = "",
        suggestions: Sequence[str] = (),
    ) -> None:
        super().__init__(message, provider=provider)
        self.symbol = symbol
        self.suggestions = tuple(suggestions)
        """Symbols that may have been meant, the likeliest first."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        facts = {"providers": self.provider, "symbol": self.symbol}
        if self.suggestions:
            facts["suggestions"] = ",".join(self.suggestions)
        return facts


class NoDataUnexplainedError(ProviderError):
    """Say that a vendor gave nothing, and that nobody can tell why."""

    reason = "NO_DATA_UNEXPLAINED"


class QuotaExhaustedError(ProviderError):
    """Say that a vendor may not be called before ``retry_after_seconds``."""

    reason = "QUOTA_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        window: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(
            message, provider=provider, retry_after_seconds=retry_after_seconds
        )
        self.window = window
        """Name of the window that is used up, for example ``day``."""
        self.others: tuple[QuotaExhaustedError, ...] = ()
        """The other vendors' windows that are used up as well."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "window": self.window}


class CostLimitError(ProviderError):
    """Say that a call would cost more than the caller allows."""

    reason = "COST_LIMIT_EXCEEDED"

    def __init__(self, message: str, *, provider: str, price_usd: str) -> None:
        super().__init__(message, provider=provider)
        self.price_usd = price_usd
        """What the next call would cost."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "price_usd": self.price_usd}


class LedgerUnavailableError(ProviderError):
    """Say that a call was held back because it could not be written down first."""

    reason = "LEDGER_UNAVAILABLE"


class CredentialsRefusedError(ProviderError):
    """Say that a vendor refuses our key, or that we have none."""

    reason = "CREDENTIALS_REFUSED"


class SessionExpiredError(ProviderError):
    """Say that the vendor wants a new cookie or crumb first."""

    reason = "CREDENTIALS_REFUSED"


class EntitlementMissingError(ProviderError):
    """Say that our plan with the vendor does not include a feature."""

    reason = "ENTITLEMENT_MISSING"

    def __init__(self, message: str, *, provider: str, feature: str) -> None:
        super().__init__(message, provider=provider)
        self.feature = feature

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "feature": self.feature}


class CapabilityMissingError(ProviderError):
    """Say that a vendor cannot do this at all."""

    reason = "CAPABILITY_MISSING"

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message, provider=provider)
        self.reasons = {provider: message} if provider else {}
        """What each vendor lacks."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return dict(self.reasons)


class MalformedPayloadError(ProviderError):
    """Say that a vendor's answer cannot be read."""

    reason = "MALFORMED_PAYLOAD"
    trips_breaker = True


class ProviderUnavailableError(ProviderError):
    """Say that a vendor failed, timed out or cannot be reached."""

    reason = "ALL_PROVIDERS_FAILED"
    transient = True
    trips_breaker = True
    silent: bool = False
    """Whether it took all the time it was given, and said nothing."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"providers": self.provider}


class BreakerOpenError(ProviderError):
    """Say that a vendor rests after failures."""

    reason = "ALL_PROVIDERS_FAILED"

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"providers": self.provider}
