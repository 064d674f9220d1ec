"""What to tell the caller when no vendor had an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    BreakerOpenError,
    CapabilityMissingError,
    CostLimitError,
    CredentialsRefusedError,
    EntitlementMissingError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SessionExpiredError,
    SymbolUnknownError,
)

_DEFAULT_RETRY_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 120.0
_TRANSIENT: Final = (ProviderUnavailableError, BreakerOpenError)
_REFUSALS: Final = (
    CredentialsRefusedError,
    SessionExpiredError,
    EntitlementMissingError,
)

_ONLY_IF_ALL: Final = (_REFUSALS, (LedgerUnavailableError,))
"""Said only if every vendor says so."""


def verdict(
    errors: Sequence[ProviderError], *, pinned: bool, symbol: str
) -> IngestionError:
    """
    Return the one error that says it best, given one error per vendor asked.

    A refusal counts only if every vendor refuses; "unknown" only if one vendor said
    so definitely and no other failed for the moment.
    """
    able = [error for error in errors if not isinstance(error, CapabilityMissingError)]
    if not able:
        return _incapable(errors)
    if pinned:
        return _of_one(able[-1], symbol)
    return _of_all(able, symbol)


def _of_all(able: Sequence[ProviderError], symbol: str) -> IngestionError:
    def those(*kinds: type[ProviderError]) -> list[ProviderError]:
        return [error for error in able if isinstance(error, kinds)]

    chosen: IngestionError
    out = [error for error in able if isinstance(error, QuotaExhaustedError)]
    # Who is busy for a moment may know better; whose day is over is not waited for.
    busy = [error for error in out if _retry_soon(error)]
    broken = bool(those(*_TRANSIENT))
    if len(out) == len(able):
        chosen = _exhausted(out)
    elif any(len(those(*kinds)) == len(able) for kinds in _ONLY_IF_ALL):
        chosen = able[0]
    elif (unknown := those(SymbolUnknownError)) and not (broken or busy):
        chosen = _unknown(unknown, symbol)
    elif malformed := those(MalformedPayloadError):
        chosen = malformed[0]
    elif (silent := those(NoDataUnexplainedError)) and not broken:
        chosen = _silent(silent)
    elif (dear := those(CostLimitError)) and not broken:
        chosen = dear[0]
    else:
        chosen = AllProvidersFailedError(
            "every vendor failed: " + "; ".join(error.message for error in able),
            facts={"providers": ",".join(error.provider for error in able)},
            retry_after_seconds=_earliest(able),
        )
    return chosen


def _retry_soon(error: ProviderError) -> bool:
    seconds = error.retry_after_seconds
    return seconds is not None and seconds <= _SOON_SECONDS


def _of_one(error: ProviderError, symbol: str) -> IngestionError:
    if isinstance(error, SymbolUnknownError):
        return _unknown([error], symbol)
    if isinstance(error, _TRANSIENT):
        return PinnedProviderFailedError(
            f"the pinned vendor failed: {error.message}",
            facts={"provider": error.provider},
            retry_after_seconds=_earliest([error]),
        )
    return error


def _exhausted(errors: Sequence[QuotaExhaustedError]) -> QuotaExhaustedError:
    """Return the error of the vendor that comes back first; it names the others."""
    first, *others = sorted(errors, key=_wait)
    first.others = tuple(others)
    return first


def _unknown(errors: Sequence[ProviderError], symbol: str) -> IngestionError:
    providers = ",".join(dict.fromkeys(error.provider for error in errors))
    return SymbolUnknownError(
        f"{symbol} is not known to {providers.replace(',', ' and ')}; an instrument "
        "listed outside of the US needs its exchange, for example XLON",
        provider=providers,
        symbol=symbol,
    )


def _silent(errors: Sequence[ProviderError]) -> IngestionError:
    if len(errors) == 1:
        return errors[0]
    return NoDataUnexplainedError(
        "; ".join(dict.fromkeys(error.message for error in errors)),
        provider=",".join(dict.fromkeys(error.provider for error in errors)),
    )


def _incapable(errors: Sequence[ProviderError]) -> IngestionError:
    if not errors:
        return CapabilityMissingError(
            "no vendor is configured that may be asked", provider=""
        )
    message = "; ".join(f"{error.provider}: {error.message}" for error in errors)
    merged = CapabilityMissingError(
        f"no vendor can serve this: {message}", provider=errors[0].provider
    )
    merged.reasons = {e.provider: e.message for e in errors if e.provider}
    return merged


def _wait(error: ProviderError) -> float:
    """Return when trying again can help; of all times the last if nobody knows."""
    seconds = error.retry_after_seconds
    return math.inf if seconds is None else seconds


def _earliest(errors: Sequence[ProviderError]) -> float:
    """Return when the first vendor may be back; one that refuses us will not be."""
    waits = [
        _DEFAULT_RETRY_SECONDS if error.retry_after_seconds is None else _wait(error)
        for error in errors
        if error.retry_after_seconds is not None
        or isinstance(error, ProviderUnavailableError)
    ]
    return min(waits, default=_DEFAULT_RETRY_SECONDS)
