"""What takes every secret of the settings out of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from ingestion_server.app import schema
from ingestion_server.app.settings import FIELDS, Settings
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.telemetry.otlp import pairs
from ingestion_server.transport.redaction import Redactor

_VENDORS: Final = (AlphaVantage(), Yahoo(), Finnhub(), IexCloud())


def blank_of(settings: Settings) -> Callable[[str], str]:
    """Return what blanks keys, passwords, tokens, and parameters that hold such."""
    known = frozenset(_secrets(settings))
    names = frozenset().union(*(vendor.secret_parameters for vendor in _VENDORS))
    return Redactor(lambda: known, names).text


def _secrets(settings: Settings) -> Iterator[str]:
    for key, field in FIELDS.items():
        if not schema.is_secret(field):
            continue
        held: object = reduce(getattr, key.split("."), settings)
        if isinstance(held, SecretStr) and (text := held.get_secret_value()):
            yield text
    if settings.store.url is not None:
        password = urlsplit(settings.store.url.get_secret_value()).password or ""
        yield from {password, unquote(password)} - {""}
    for value in pairs(settings.telemetry.otlp_headers.get_secret_value()).values():
        # Of ``Bearer abc`` the second word alone is a secret as well.
        yield from (value, *value.split()[-1:])
