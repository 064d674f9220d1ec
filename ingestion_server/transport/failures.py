"""
Foreign exceptions, mapped once.

The most specific class that the table knows decides. Whether trying again can help
is a fact of the error that is raised in the end.
"""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
)

_Row = tuple[type[MalformedPayloadError | ProviderUnavailableError], str]

_TIMED_OUT: Final[_Row] = (ProviderUnavailableError, "did not answer in time")
_CUT: Final[_Row] = (ProviderUnavailableError, "cut the connection")
_UNREACHABLE: Final[_Row] = (ProviderUnavailableError, "cannot be reached")
_UNKNOWN_NAME: Final[_Row] = (
    ProviderUnavailableError,
    "cannot be reached: its name is not known",
)
_CERTIFICATE: Final[_Row] = (
    ProviderUnavailableError,
    "showed a certificate that is not valid",
)
_TLS: Final[_Row] = (ProviderUnavailableError, "failed to agree on TLS")
_ENCODING: Final[_Row] = (
    MalformedPayloadError,
    "sent a body that is not encoded as its headers say",
)
_NOT_HTTP: Final[_Row] = (MalformedPayloadError, "sent what is not HTTP")
_ADDRESS: Final[_Row] = (MalformedPayloadError, "has an address that is no url")

FOREIGN: Final[Mapping[type[Exception], _Row]] = {
    # before there is a connection
    aiohttp.InvalidURL: _ADDRESS,
    aiohttp.NonHttpUrlClientError: _ADDRESS,
    aiohttp.ClientProxyConnectionError: (
        ProviderUnavailableError,
        "cannot be reached: the proxy does not answer",
    ),
    aiohttp.ClientHttpProxyError: (
        ProviderUnavailableError,
        "cannot be reached: the proxy refused",
    ),
    aiohttp.ClientConnectorDNSError: _UNKNOWN_NAME,
    aiohttp.ClientConnectorCertificateError: _CERTIFICATE,
    aiohttp.ClientSSLError: _TLS,
    aiohttp.ClientConnectorError: _UNREACHABLE,
    # on the connection
    aiohttp.ServerTimeoutError: _TIMED_OUT,
    aiohttp.ClientConnectionError: _CUT,
    aiohttp.ClientPayloadError: _CUT,
    aiohttp.ClientResponseError: _NOT_HTTP,
    aiohttp.ClientError: _CUT,
    ContentEncodingError: _ENCODING,
    HttpProcessingError: _NOT_HTTP,
    aiohttp.WSServerHandshakeError: (
        ProviderUnavailableError,
        "did not agree to a WebSocket",
    ),
    # below that
    TimeoutError: _TIMED_OUT,
    socket.gaierror: _UNKNOWN_NAME,
    ssl.SSLCertVerificationError: _CERTIFICATE,
    ssl.SSLError: _TLS,
    OSError: _UNREACHABLE,
    zlib.error: _ENCODING,
    ValueError: (MalformedPayloadError, "was to be sent what HTTP cannot carry"),
}
"""What each foreign exception means."""

CAUGHT: Final = tuple(FOREIGN)
"""For ``except``."""


def mapped(error: Exception, *, provider: str, host: str) -> ProviderError:
    """Return our own error for a foreign one."""
    telling = _most_telling(error)
    kind, sentence = next(FOREIGN[t] for t in type(telling).__mro__ if t in FOREIGN)
    return kind(f"{provider} ({host}) {sentence}", provider=provider)


def chained(error: Exception, blank: Callable[[str], str] = str) -> Exception | None:
    """
    Return the cause to chain; None if it would show the query of a url, or a secret.

    Some of the foreign exceptions tell the whole url, or what the vendor said, and a
    traceback tells them and what they come from. ``blank`` blanks secrets.
    """
    told: BaseException | None = error
    while told is not None:
        text = str(told)
        if "?" in text or blank(text) != text:
            return None
        told = told.__cause__ or told.__context__
    return error


def _most_telling(error: Exception) -> BaseException:
    """Return the wrong encoding that a broken-off body was, if it was one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ContentEncodingError):
            return seen
        seen = seen.__cause__
    return error
