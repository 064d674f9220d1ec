"""Instruments in our own spelling, and the exchanges they are listed on."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from ingestion_server.domain.currencies import FIAT
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.venues import INDEX_VENUES, PRIMARY_VENUE, VENUES, Venue

_SYMBOL: Final = re.compile(r"\^?[A-Z0-9](?:[A-Z0-9.\-]*[A-Z0-9])?")
_PAIR: Final = re.compile(r"([A-Z0-9]{2,12})/([A-Z0-9]{2,12})")
_LONGEST_SYMBOL: Final = 32
_LONGEST_MIC: Final = 12
"""More of a wrong one is not repeated in the error."""


class AssetClass(StrEnum):
    """Name the kind of an instrument."""

    EQUITY = "equity"
    FX = "fx"
    CRYPTO = "crypto"
    INDEX = "index"
    FUTURE = "future"

    @property
    def adjustable(self) -> bool:
        """Tell whether splits and dividends exist for this kind."""
        return self is AssetClass.EQUITY


class Instrument(msgspec.Struct, frozen=True):
    """Name one instrument: our symbol, its kind, and its exchange if it has one."""

    symbol: str
    """Upper case: ``AAPL``, ``BRK.B``, ``EUR/USD``, ``BTC/USD``, ``^GSPC``, ``GC``."""
    asset_class: AssetClass
    exchange: str = ""
    """Market identifier code; empty for pairs, and for an exchange we do not know."""

    @property
    def venue(self) -> Venue | None:
        """Return what is known about the exchange."""
        return VENUES.get(self.exchange)

    @property
    def pair(self) -> tuple[str, str]:
        """Return base and quote of a pair; of anything else, the symbol and ``""``."""
        base, _, quote = self.symbol.partition("/")
        return base, quote


def instrument(
    symbol: str, *, asset_class: AssetClass | None = None, exchange: str = ""
) -> Instrument:
    """
    Read a symbol in our spelling, in any case.

    ``X/Y`` is FX if both parts are ISO 4217 codes and crypto otherwise; a leading
    ``^`` is an index; all else is an equity, on a US exchange unless told otherwise.

    Raises:
        InvalidQueryError: The symbol, or its kind or exchange, cannot be meant.

    """
    spelled = symbol.strip()
    mic = exchange.strip().upper()
    if not spelled:
        raise _wrong("symbol", "is required, for example AAPL, EUR/USD or ^GSPC")
    if len(spelled) > _LONGEST_SYMBOL:
        raise _wrong("symbol", f"is longer than {_LONGEST_SYMBOL} characters")
    # Some foreign letters are ASCII in upper case: "ß" is "SS".
    spelled = spelled.upper() if spelled.isascii() else spelled
    pair = _PAIR.fullmatch(spelled)
    if pair is None and not _SYMBOL.fullmatch(spelled):
        raise _wrong(
            "symbol",
            "has characters that no symbol has; expected for example AAPL, BRK.B, "
            "EUR/USD, BTC/USD or ^GSPC",
        )
    _refuse_dashed_pair(spelled)
    told = _told_by(spelled, pair)
    kind = asset_class or told
    if (told is AssetClass.INDEX) != (kind is AssetClass.INDEX) or (
        (pair is not None) != (kind in {AssetClass.FX, AssetClass.CRYPTO})
    ):
        raise _wrong("asset_class", f"{kind} does not suit the symbol {spelled}")
    if kind is AssetClass.FX and told is not AssetClass.FX:
        raise _wrong("asset_class", f"{spelled} is not a pair of ISO 4217 currencies")
    if pair is not None:
        if mic:
            raise _wrong("exchange", "must be empty for pairs")
        if pair[1] == pair[2]:
            raise _wrong("symbol", "is a pair of a currency with itself")
        return Instrument(spelled, kind)
    if mic and mic not in VENUES:
        raise _wrong(
            "exchange",
            f"{mic[:_LONGEST_MIC]!r} is not known; expected a market identifier code "
            f"such as {', '.join(sorted(VENUES)[:6])}, …",
        )
    return Instrument(spelled, kind, mic or _primary(spelled, kind))


def _refuse_dashed_pair(spelled: str) -> None:
    base, dash, quote = spelled.rpartition("-")
    if dash and quote in FIAT:
        raise _wrong("symbol", f"a pair is written {base}/{quote}")


def _told_by(spelled: str, pair: re.Match[str] | None) -> AssetClass:
    if pair is not None:
        fiat = pair[1] in FIAT and pair[2] in FIAT
        return AssetClass.FX if fiat else AssetClass.CRYPTO
    return AssetClass.INDEX if spelled.startswith("^") else AssetClass.EQUITY


def _primary(spelled: str, kind: AssetClass) -> str:
    if kind is AssetClass.INDEX:
        return INDEX_VENUES.get(spelled, "")
    return "" if kind is AssetClass.FUTURE else PRIMARY_VENUE


def _wrong(field: str, description: str) -> InvalidQueryError:
    return InvalidQueryError([Violation(field, description)])
