"""
Symbols that are like another: ``/search``, ``{count, result: [...]}`` [D].

Without an exchange it finds listings in all the world, of which most are nobody's
wish [I]; so it is asked for the exchange of the instrument alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.instrument import instrument as instrument_of
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.searching import Suggestion
from ingestion_server.providers.finnhub.declarations import API_URL, NAME, SEARCH
from ingestion_server.providers.finnhub.payloads import decoded, said_nothing
from ingestion_server.providers.finnhub.symbols import SUFFIXES, feature, spelling

_US: Final = "US"
_ABROAD: Final = frozenset(SUFFIXES.values())
_LONGEST_NAME: Final = 60


class _Match(msgspec.Struct):
    symbol: str | None = None
    description: str | None = None


class _Found(msgspec.Struct):
    result: list[_Match] | None = None


_decoder: Final = msgspec.json.Decoder(_Found)


@final
class FinnhubSearch:
    """Find listed shares and funds."""

    def search_request(self, instrument: Instrument) -> HttpRequest | None:
        """Return the request about a share; of other kinds, nothing is found."""
        exchange = _exchange(instrument)
        if instrument.asset_class is not AssetClass.EQUITY or exchange is None:
            return None
        return HttpRequest(
            NAME,
            API_URL + SEARCH,
            (("q", instrument.symbol), ("exchange", exchange)),
            feature=feature(SEARCH, instrument),
        )

    def read_search(
        self, response: HttpResponse, instrument: Instrument
    ) -> Sequence[Suggestion]:
        """
        Read the answer, without what is listed elsewhere or has no symbol of ours.

        Raises:
            NoDataUnexplainedError: It is an empty object.
            MalformedPayloadError: It is no list of matches.

        """
        found = decoded(_decoder, response.body, "matches")
        if found.result is None:
            raise said_nothing("symbols")
        return [
            Suggestion(symbol, _name(match.description or ""))
            for match in found.result
            if (symbol := _ours(match.symbol or "", instrument.exchange))
        ]


def _exchange(instrument: Instrument) -> str | None:
    """Return the vendor's code: a suffix without its dot, and ``US`` [D]."""
    if instrument.exchange in US_VENUES:
        return _US
    suffix = SUFFIXES.get(instrument.exchange)
    return None if suffix is None else suffix.removeprefix(".")


def _ours(spelled: str, exchange: str) -> str:
    """Return our spelling of a symbol; empty if it is not of the exchange."""
    text = spelled.strip().upper()
    stem, dot, ending = text.rpartition(".")
    if exchange in US_VENUES:
        # A share class has one letter; what is longer is a warrant, a unit, or another
        # country.
        if dot and (len(ending) > 1 or dot + ending in _ABROAD):
            return ""
    elif dot + ending == SUFFIXES[exchange]:
        text = stem.replace("-", ".")
    else:
        return ""
    try:
        meant = instrument_of(text, exchange=exchange)
    except InvalidQueryError:
        return ""
    # Else it could not be asked for.
    return meant.symbol if spelling(meant) == spelled.strip().upper() else ""


def _name(description: str) -> str:
    """Return a name that can stand in a sentence, whatever the vendor sent."""
    shown = "".join(each if each.isprintable() else " " for each in description)
    return " ".join(shown.split())[:_LONGEST_NAME].rstrip()
